"""Strike at crash points on Apache Kafka: `python -m tests.faults.points harness|acting [--most N] [--how kill|stop]`; a line a strike."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.points import acting_bench, harness_bench
from tests.faults.points.harness_bench import Strike
from tests.kafka.broker import KafkaBroker

SIDES = ("before", "after")


def harness(broker: KafkaBroker, folder: Path, how: str, most: int) -> bool:
    """Strike the harness; say whether nothing was lost."""
    phases = harness_bench.discover(broker, folder)
    print(f"{len(phases)} of {len(harness_bench.harness_points())} points are passed")
    todo = [Strike(point, side, how, phase) for point, phase in phases.items() for side in SIDES][:most]
    good = True
    for told in harness_bench.rounds(broker, folder, todo, say):
        print(told.result.line(), flush=True)
        good = good and told.result.passed
    return good


def acting(broker: KafkaBroker, folder: Path, how: str, most: int) -> bool:
    """Strike the role that acts; say whether every incident had one effect and one outcome."""
    seen = folder / "seen"
    with acting_bench.ActingBench(broker.bootstrap, folder / "bench") as bench:
        wrong = bench.run(None, {"FAULT_SEEN": str(seen)})
        passed = set(seen.read_text().splitlines())
        points = [point.name for point in acting_bench.acting_points() if point.name in passed]
        print(f"{len(points)} of {len(acting_bench.acting_points())} points are passed")
        todo = [Strike(point, side, how, "work") for point in points for side in SIDES][:most]
        found = [reason for _, reasons in acting_bench.strikes(bench, todo, say) for reason in reasons if reason != "did not fall"]
    return not wrong + found


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=["harness", "acting"])
    parser.add_argument("--most", type=int, default=1_000_000, help="strikes; default: both sides of every point that is passed")
    parser.add_argument("--how", choices=["kill", "stop"], default="kill")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="airra-points-"))
    print(f"logs in {folder}", flush=True)
    with KafkaBroker(folder / "kafka") as broker:
        bench = harness if arguments.bench == "harness" else acting
        return 0 if bench(broker, folder, arguments.how, arguments.most) else 1


if __name__ == "__main__":
    sys.exit(main())
