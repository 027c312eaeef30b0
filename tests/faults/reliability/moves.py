"""Partitions that move: workers that stay away, join and leave; rebalances inside a recovery; how long a recovery takes.

What counts is the input log: outputs and last state are compared with its linear replay. A hole that was read again, and an exit of
the guard, are counted from the workers' logs and exit codes: neither is a loss, and neither should happen.
"""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import replace

from streams.harness.kafka import HEARTBEAT_MS
from tests.faults.bench import Bench, Result
from tests.faults.points.groups import until
from tests.faults.reliability import recovering
from tests.faults.reliability.case import Case, Chapter, Finding, Ground
from tests.faults.reliability.scale import scale
from tests.faults.reliability.workers import MOVED_WITHIN_S, PER_SECOND, STEP_S, Find, Workers, items, told
from tests.kafka.broker import KafkaBroker

AWAY_S = 15.0
PARTITIONS = (1, 4, 12)
MOST_WORKERS = 4
MB = 1_000_000


def away(how: str, partitions: int) -> Find:
    """Each of two workers goes and stays away until its partitions have moved, then comes back."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        bench = Bench(broker, ground.new_folder("away"), 1, partitions=partitions)
        workers = Workers(bench)
        with contextlib.closing(bench.fleet):
            for number in (0, 1):
                bench.fleet.start(number)
            workers.settled()
            for number in (0, 1):
                workers.leave(number, how)
                workers.pump(AWAY_S)
                workers.settled()
                bench.fleet.start(number)
                workers.settled()
            return told(item, 2, bench, bench.settle(Result(item)))

    return find


def twice(partitions: int, ending: str) -> Find:
    """A worker is killed, and its recovery is met by two rebalances before it opens a partition; or by one, and a second death."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        bench = Bench(broker, ground.new_folder("twice"), 1, ballast=20 * MB // partitions, partitions=partitions)
        workers, fleet = Workers(bench), bench.fleet
        with contextlib.closing(fleet):
            for number in (0, 1):
                fleet.start(number)
            for number in (2, 3):
                fleet.start(number, None, "--stopped")
            until(lambda: fleet.stopped(2) and fleet.stopped(3), MOVED_WITHIN_S, "the joiners are loaded", workers.pump)
            workers.bench.at_work(PER_SECOND)
            fleet.kill(0)
            before = _assigned(bench)
            fleet.start(0)
            before = _meet(workers, before, 2)
            if ending != "joins":
                _recovering(workers, before)
                workers.leave(0, ending)
                before = _assigned(bench)
                fleet.start(0)
            _meet(workers, before, 3)
            inside = _unopened(bench)
            workers.settled()
            found = told(item, 2, bench, bench.settle(Result(item)))
            return found if inside >= 2 else replace(found, failed=(*found.failed, f"only {inside} rebalances fell into the recovery"))

    return find


def _meet(workers: Workers, before: int, joiner: int) -> int:
    """Hold worker 0 in its recovery until the joiner's rebalance waits for it; return how often it had been assigned until then.

    It is held for longer than a heartbeat: what it does first when it goes on is to hear of the rebalance.
    """
    fleet = workers.fleet
    assigned = _recovering(workers, before)
    fleet.freeze(0)
    frozen = time.monotonic()
    fleet.resume(joiner)
    until(workers.rebalancing, MOVED_WITHIN_S, "the joiner asked for its share", workers.pump)
    workers.pump(max(0.0, frozen + HEARTBEAT_MS / 1000 + STEP_S - time.monotonic()))
    fleet.resume(0)
    return assigned


def _recovering(workers: Workers, before: int) -> int:
    """Wait until worker 0 has been assigned partitions once more than before."""
    until(lambda: _assigned(workers.bench) > before, MOVED_WITHIN_S, "the recovery began", lambda: time.sleep(0.002))
    return _assigned(workers.bench)


def _assigned(bench: Bench) -> int:
    return bench.fleet.said(0).count("partitions_assigned")


def _unopened(bench: Bench) -> int:
    """Return how many assignments of worker 0 in a row, of its last ones, were taken away before a partition was opened."""
    tail = bench.fleet.said(0).rpartition("partition_opened")[2]
    return tail.count("partitions_assigned")


def hundred(seed: int, moves: int = 10) -> Find:
    """Workers join and leave at random, one at a time, each move waited for."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        chance = random.Random(seed)
        bench = Bench(broker, ground.new_folder("hundred"), seed, partitions=chance.choice(PARTITIONS[1:]))
        workers, numbers = Workers(bench), iter(range(100))
        with contextlib.closing(bench.fleet):
            for _ in range(1 if ground.sample else 2):
                bench.fleet.start(next(numbers))
            workers.settled()
            turns = 2 if ground.sample else moves
            for turn in range(turns):
                running = bench.fleet.running()
                joins = len(running) == 1 or (len(running) < MOST_WORKERS and chance.random() < 0.5)
                if joins or (ground.sample and turn == 0):
                    bench.fleet.start(next(numbers))
                else:
                    workers.leave(chance.choice(running), chance.choice(("SIGKILL", "SIGTERM")))
                workers.settled()
            return told(item, turns, bench, bench.settle(Result(item)))

    return find


HOWS = ("SIGKILL", "SIGTERM")
CHAPTER = Chapter(
    "moves",
    "Partitions that move, and recovery",
    (
        Case(
            "hundred",
            "100 moves: workers join and leave at random (SIGKILL, SIGTERM); the guard against holes fires in none",
            items({f"10 moves, seed {seed}": hundred(seed) for seed in range(1, 11)}),
            minutes=25,
            in_sample=True,
        ),
        Case(
            "away",
            f"a worker goes for {AWAY_S:.0f} s, its partitions move, it comes back; 1, 4 and 12 partitions",
            items({f"{how}, {count} partitions": away(how, count) for count in PARTITIONS for how in HOWS}),
            minutes=10,
        ),
        Case(
            "twice",
            "two rebalances inside one recovery of 20 MB; or one, and the recovering worker dies",
            items({f"{count} partitions, {ending}": twice(count, ending) for count in (4, 12) for ending in ("joins", *HOWS)}),
            minutes=6,
        ),
        Case(
            "scale",
            "the real detect stage, 1 → 2 → 4 → 1 workers under load, compared with a linear replay of airra.samples.v1",
            scale,
            minutes=4,
        ),
        *recovering.CASES,
    ),
)
