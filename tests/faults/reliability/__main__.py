"""The whole fault campaign on a real Apache Kafka: `make faults`, hours; stop it at any time and it goes on where it was.

make faults                                      everything that is not yet proven with the code as it is; writes docs/reliability.md
make faults FAULTS_ARGS="--list"                 chapters and cases, what is proven, about how long the rest takes
make faults FAULTS_ARGS="--only moves network"   these chapters, or chapter/case
make faults FAULTS_ARGS="--sample --only poison" the short form; CI runs some of them; writes nothing
make faults FAULTS_ARGS="--report"               only write docs/reliability.md from the ledger

It ends with 1 where something did not hold, with 3 where something was not run for want of a tool (never so with --sample).
Several may run beside each other with different --only: they share the ledger. What is timed (moves, load, control, poison/throughput)
wants the machine for itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.reliability import ledger
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, NotRun
from tests.faults.reliability.chapters import CHAPTERS, digest_of
from tests.faults.reliability.report import REPORT, rendered

NOT_RUN = 3  # the exit code where something was not run for want of a tool


def chosen(only: list[str] | None) -> list[tuple[Chapter, Case]]:
    """Return the cases that `--only` names (chapters, or chapter/case); raise ValueError for a name that is none."""
    every = [(chapter, case) for chapter in CHAPTERS for case in chapter.cases]
    if not only:
        return every
    known = {chapter.name for chapter in CHAPTERS} | {f"{chapter.name}/{case.name}" for chapter, case in every}
    if unknown := sorted(set(only) - known):
        raise ValueError(f"no such chapter or case: {', '.join(unknown)}; --list names them")
    return [(chapter, case) for chapter, case in every if chapter.name in only or f"{chapter.name}/{case.name}" in only]


def run_case(chapter: Chapter, case: Case, ground: Ground, done: frozenset[str]) -> Iterator[tuple[Finding, float]]:
    """Yield each finding with its seconds; what a case raises is a finding too, so that the campaign goes on. Raises NotRun."""
    begun = time.monotonic()
    try:
        for found in case.run(ground, done):
            yield _anywhere(found, ground.folder), time.monotonic() - begun
            begun = time.monotonic()
    except NotRun:
        raise
    except Exception as error:  # the one boundary: a case that breaks is told and does not end the others
        ground.say(traceback.format_exc())
        broke = Finding(ledger.ITSELF, 0, failed=(f"{type(error).__name__}: {error}"[:300],))
        yield _anywhere(broke, ground.folder), time.monotonic() - begun


def _anywhere(found: Finding, folder: Path) -> Finding:
    """Return the finding as it would read on any machine: the folder that it was run in is nobody's business."""
    plain = [text.replace(f"{folder}/", "") for text in (found.notes, *found.failed)]
    return replace(found, notes=plain[0], failed=tuple(plain[1:]))


def _list(cases: list[tuple[Chapter, Case]], path: Path) -> None:
    minutes = 0.0
    for chapter, case in cases:
        done = ledger.proven(chapter.name, case.name, path, digest_of(chapter))
        minutes += 0 if done else case.minutes
        of = f" of {len(case.items)}" if case.items else ""
        print(f"{chapter.name}/{case.name:<28} {case.minutes:>5.0f} min  {len(done):>4}{of} proven  {case.shows}")
    print(f"about {minutes:.0f} minutes for the cases of which nothing is proven with this code")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="CHAPTER[/CASE]")
    parser.add_argument("--list", action="store_true", help="print the cases and run nothing")
    parser.add_argument("--report", action="store_true", help="write the report and run nothing")
    parser.add_argument("--sample", action="store_true", help="the short form of the cases that have one; writes nothing")
    parser.add_argument("--missing", action="store_true", help="leave out what was proven with older code, too")
    parser.add_argument("--again", action="store_true", help="also what is proven already")
    parser.add_argument(
        "--ledger", type=Path, default=ledger.LEDGER, metavar="FILE", help="(default: docs/reliability.jsonl); another file: no report"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs there (default: a temporary folder, removed at the end)")
    args = parser.parse_args()
    try:
        cases = chosen(args.only)
    except ValueError as error:
        parser.error(str(error))
    if args.list:
        _list(cases, args.ledger)
        return 0
    bad, lacking = (0, []) if args.report else _campaign(cases, args)
    if _report(args):
        print(f"written: {REPORT.relative_to(ledger.REPO)}")
    for line in lacking:
        print(f"not run: {line}")
    return 1 if bad else NOT_RUN if lacking and not args.sample else 0


def _report(args: argparse.Namespace) -> bool:
    """Write the report, unless what was run does not belong into it."""
    if args.sample or args.ledger != ledger.LEDGER:
        return False
    REPORT.write_text(rendered(CHAPTERS, ledger.tidy()), encoding="utf-8")
    return True


def _campaign(cases: list[tuple[Chapter, Case]], args: argparse.Namespace) -> tuple[int, list[str]]:
    """Run the cases; return how many findings do not hold, and what was not run and why."""
    folder = args.keep or Path(tempfile.mkdtemp(prefix="airra-faults-"))
    _say(f"logs in {folder}")
    bad, lacking = 0, []
    todo = [(chapter, case) for chapter, case in cases if case.in_sample or not args.sample]
    try:
        with Ground(folder, _say, args.sample) as ground:
            for number, (chapter, case) in enumerate(todo, 1):
                _say(f"[{number}/{len(todo)}] {chapter.name}/{case.name}, about {case.minutes:.0f} min: {case.shows}")
                try:
                    bad += _case(chapter, case, ground, args)
                except NotRun as missing:
                    lacking.append(f"{chapter.name}/{case.name}: {missing}")
                    _say(f"  NOT RUN {lacking[-1]}")
                _report(args)  # after each case: a campaign is stopped, and one of its cases is the unit tests, which read the report
    finally:
        if args.keep is None and not bad:
            shutil.rmtree(folder, ignore_errors=True)
    return bad, lacking


def _case(chapter: Chapter, case: Case, ground: Ground, args: argparse.Namespace) -> int:
    """Run one case, and note what it found; return how many findings do not hold. Raises NotRun."""
    cases, bad = digest_of(chapter), 0
    fresh = args.again or args.sample
    done = frozenset() if fresh else ledger.proven(chapter.name, case.name, args.ledger, cases, older=args.missing)
    items = set(done)
    for found, seconds in run_case(chapter, case, ground, done):
        bad += not found.passed
        items.add(found.item)
        _say(f"  {'ok  ' if found.passed else 'FAIL'} {found.item} ({seconds:.0f} s): {_told(found)}")
        if not args.sample:
            ledger.append(ledger.entry(chapter.name, case.name, found, seconds, cases), args.ledger)
    if case.items is None and ledger.ITSELF not in items and not args.sample:
        ledger.append(ledger.entry(chapter.name, case.name, Finding(ledger.WHOLE, len(items)), 0.0, cases), args.ledger)
    return bad


def _told(found: Finding) -> str:
    names = ("lost", "doubled", "repeated", "wrong", "rereads", "guards")
    counts = [f"{count} {name}" for name in names if (count := getattr(found, name)) is not None]
    state = [] if found.equal is None else ["state equal" if found.equal else "state NOT equal"]
    worst = [f"recovered within {max(found.recovery_s):.1f} s"] if found.recovery_s else []
    return "; ".join([", ".join([f"{found.injected} injected", *counts, *state, *worst]), *found.failed, *filter(None, [found.notes])])


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
