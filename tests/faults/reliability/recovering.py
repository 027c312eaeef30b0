"""How long a stage stands still: from the death of a worker with 20 MB of state until the outputs keep up with the log again."""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import replace

from streams.harness.stage import SAVED_EVERY_S
from tests.faults.bench import Bench, Result
from tests.faults.points.groups import until
from tests.faults.recovery import Tracker
from tests.faults.reliability.case import Case, Finding, Ground
from tests.faults.reliability.report import percentile
from tests.faults.reliability.workers import MOVED_WITHIN_S, STEP_S, Find, Workers, items, told
from tests.kafka.broker import KafkaBroker

PER_SECOND = 200.0  # of the data plane a record is a batch of hundreds of samples
CAUGHT_UP_WITHIN_S = 60.0
MB = 1_000_000
RESTART_GOAL_S, MOVE_GOAL_S = 5.0, 15.0


def restarts(partitions: int, kills: int = 10) -> Find:
    """SIGKILL of a worker that holds 20 MB of state and is started again at once, as a supervisor would."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        bench = Bench(
            broker, ground.new_folder("restarts"), 1, ballast=20 * MB // partitions, partitions=partitions, snapshot_s=SAVED_EVERY_S
        )
        workers, chance = Workers(bench, PER_SECOND), random.Random(partitions)
        times: list[float] = []
        with contextlib.closing(bench.fleet), Tracker(broker.bootstrap, bench.stages[0], *bench.logs) as tracker:
            bench.fleet.start(0)
            workers.settled()
            for _ in range(2 if ground.sample else kills):
                workers.pump(chance.uniform(2.0, 5.0))
                until(lambda: tracker.behind < STEP_S, MOVED_WITHIN_S, "caught up", workers.pump)
                at = time.monotonic()
                bench.fleet.kill(0)
                bench.fleet.start(0)
                times.append(tracker.recovery(at, CAUGHT_UP_WITHIN_S, workers.pump))
            return _timed(told(item, len(times), bench, bench.settle(Result(item))), times, RESTART_GOAL_S)

    return find


def takeovers(partitions: int, kills: int = 10) -> Find:
    """SIGKILL of one of two workers that stays away: the other takes over 20 MB of state beside its own."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        bench = Bench(
            broker,
            ground.new_folder("takeovers"),
            1,
            ballast=40 * MB // (2 * partitions),
            partitions=2 * partitions,
            snapshot_s=SAVED_EVERY_S,
        )
        workers = Workers(bench, PER_SECOND)
        times: list[float] = []
        with contextlib.closing(bench.fleet), Tracker(broker.bootstrap, bench.stages[0], *bench.logs) as tracker:
            for number in (0, 1):
                bench.fleet.start(number)
            workers.settled()
            for turn in range(1 if ground.sample else kills):
                workers.pump(3.0)
                until(lambda: tracker.behind < STEP_S, MOVED_WITHIN_S, "caught up", workers.pump)
                at = time.monotonic()
                bench.fleet.kill(turn % 2)
                times.append(tracker.recovery(at, CAUGHT_UP_WITHIN_S, workers.pump))
                bench.fleet.start(turn % 2)
                workers.settled()
            return _timed(told(item, len(times), bench, bench.settle(Result(item))), times, MOVE_GOAL_S)

    return find


def _timed(found: Finding, times: list[float], goal_s: float) -> Finding:
    p95 = percentile(times, 0.95)
    failed = (f"95 % caught up within {p95:.1f} s, the goal is {goal_s:.0f} s",) if p95 > goal_s else ()
    return replace(found, recovery_s=tuple(round(value, 2) for value in times), failed=(*found.failed, *failed))


CASES = (
    Case(
        "restart",
        f"SIGKILL, started again at once, 20 MB of state: kill to caught up, 95 % within {RESTART_GOAL_S:.0f} s",
        items({f"10 kills, 20 MB in {count}": restarts(count) for count in (1, 4, 12)}),
        minutes=9,
    ),
    Case(
        "takeover",
        f"SIGKILL, not started again, 20 MB of state move: kill to caught up, 95 % within {MOVE_GOAL_S:.0f} s",
        items({f"10 moves, 20 MB in {count}": takeovers(count) for count in (1, 4, 12)}),
        minutes=18,
    ),
)
