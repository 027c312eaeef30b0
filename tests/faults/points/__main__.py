"""Strike by hand: `python -m tests.faults.points --only TEXT … [--how kill|stop] [--note]`, at every point whose name holds a text.

--note writes what a point stood to proven.txt, as the campaign does (`make faults FAULTS_ARGS="--only points"`: every point, resumable).
--tidy strikes at nothing: it takes out of proven.txt what is gone from the code, or stands in another order by now.
`python -m tests.faults.points --family NAME --scenes SCENE …` strikes at nothing and says which points these scenes of a bench pass.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.faults.points import driving, proven
from tests.faults.points.driving import SIDES, Family, Note, findings, owner
from tests.faults.points.families import FAMILIES
from tests.faults.reliability.case import Ground


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def show(family: Family, points: Sequence[str], scenes: Sequence[str], ground: Ground) -> None:
    plan = driving.discover(replace(family, scenes=tuple(scenes)), None, ground)
    for name in points:
        print(f"{' '.join(side for side in SIDES if (name, side) in plan):13} {name}")


def strike(family: Family, points: Sequence[str], how: str, ground: Ground, note: Note) -> int:
    """Strike and say what was found; return how many points did not hold."""
    bad = 0
    for one in findings(family, list(points), how, ground, note):
        bad += not one.passed
        say(
            f"{'ok  ' if one.passed else 'FAIL'} {one.item}: {one.lost} lost, {one.doubled} doubled, {one.wrong} wrong {'; '.join(one.failed)}"
        )
    say(f"{family.name}, {how}: {len(points)} points, {bad} do not hold")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=[family.name for family in FAMILIES], help="only points of this bench")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="only points whose name holds one of these")
    parser.add_argument("--how", choices=["kill", "stop"], help="(default: both)")
    parser.add_argument("--note", action="store_true", help=f"write what is proven to {proven.FILE.name}")
    parser.add_argument("--scenes", nargs="+", metavar="SCENE", help="strike at nothing, say what these scenes pass")
    parser.add_argument("--tidy", action="store_true", help=f"take out of {proven.FILE.name} what the code is no more")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs there")
    args = parser.parse_args()
    if args.scenes and not args.family:
        parser.error("--scenes needs --family")
    if args.tidy:
        say(f"to be struck again: {', '.join(proven.tidy()) or 'nothing'}")
        return 0
    names = [name for name in proven.names() if any(text in name for text in args.only)]
    families = [family for family in FAMILIES if args.family in (None, family.name)]
    folder = args.keep or Path(tempfile.mkdtemp(prefix="airra-points-"))
    say(f"logs in {folder}")
    note: Note = proven.note if args.note else lambda *_: None
    bad = 0
    with Ground(folder, say) as ground:
        for family in families:
            points = [name for name in names if owner(name, FAMILIES) == family.name]
            if args.scenes:
                show(family, points, args.scenes, ground)
            elif points:
                bad += sum(strike(family, points, how, ground, note) for how in ([args.how] if args.how else ["kill", "stop"]))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
