"""Partitions that move: workers that stay away, join and leave; rebalances inside a recovery; how long a recovery takes.

What counts is the input log: outputs and last state are compared with its linear replay. A hole that was read again, and an exit of
the guard, are counted from the workers' logs and exit codes: neither is a loss, and neither may happen.
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
from tests.faults.reliability.workers import (
    MOVED_WITHIN_S,
    PER_SECOND,
    STEP_S,
    Find,
    Life,
    Workers,
    in_recovery,
    items,
    told,
    within_recovery,
)
from tests.kafka.broker import KafkaBroker

AWAY_S = 15.0
PARTITIONS = (1, 4, 12)
MOST_WORKERS = 4
MB = 1_000_000
BEFORE_OPENING = {  # read by tests/faults/points in the worker: it stops itself at the end of a recovery, before it opens anything
    "FAULT_POINT": "streams.harness.consumer:CorrectedConsumer.perform_seek:self._thread.bounds",
    "FAULT_SIDE": "before",
    "FAULT_STRIKE": "stop",
}


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
    """A worker is killed, and its recovery is met by two rebalances before it opens a partition; or by one, and a second death.

    That it was so is read while it is held, with the group waiting for it: assigned, and assigned again, and nothing opened yet.
    """

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
            victim = workers.holder()
            fleet.kill(victim)
            life = Life(fleet, victim, None if ending == "joins" else BEFORE_OPENING)
            missed = missing(_meet(workers, life, 1, joiner=2), 1)
            if ending != "joins":
                missed += [] if _dies(workers, life, ending) else ["the recovery was over before the worker ended"]
                life = Life(fleet, victim)
            last = 2 if ending == "joins" else 1
            missed += missing(_meet(workers, life, last, joiner=3), last)
            _assigned(life, last + 1)
            workers.settled()
            heard = f"{max(0, within_recovery(life.said) - 1)} of {last} rebalances heard of before anything was opened"
            found = told(item, 2, bench, bench.settle(Result(item)))
            return replace(found, notes=f"{found.notes}, {heard}", failed=(*found.failed, *missed))

    return find


def missing(met: int, wanted: int) -> list[str]:
    """Say that fewer rebalances than wanted fell into a recovery."""
    return [f"the recovery met {met} rebalances of {wanted}"] if met < wanted else []


def _meet(workers: Workers, life: Life, times: int, *, joiner: int) -> int:
    """Hold a worker in its recovery, assigned for the nth time, until the joiner's rebalance waits for it; return how many it met by then.

    It is held for longer than a heartbeat: what it does first when it goes on is to hear of the rebalance.
    """
    _assigned(life, times)
    life.freeze()
    frozen = time.monotonic()
    workers.fleet.resume(joiner)
    until(workers.rebalancing, MOVED_WITHIN_S, "the joiner asked for its share", workers.pump)
    workers.pump(max(0.0, frozen + HEARTBEAT_MS / 1000 + STEP_S - time.monotonic()))
    met = in_recovery(life.said)  # all but the first assignment are rebalances that are over, and one waits
    life.resume()
    return met


def _dies(workers: Workers, life: Life, how: str) -> bool:
    """End a worker where it has stopped itself: after the rebalance that it met, or with that waiting. Say whether it had opened nothing."""
    until(lambda: life.stopped, MOVED_WITHIN_S, "it has stopped itself before it opens a partition", workers.pump)
    recovering = in_recovery(life.said) > 0
    if how == "SIGTERM":
        workers.fleet.signal_to_end(life.number)  # it waits for the worker to go on
        life.resume()
    workers.leave(life.number, how)
    return recovering


def _assigned(life: Life, times: int) -> None:
    """Wait until a worker has been assigned partitions for the nth time since it was started."""
    until(lambda: life.assigned >= times, MOVED_WITHIN_S, f"assigned for the {times}. time", lambda: time.sleep(0.002))


def hundred(seed: int, partitions: int, moves: int = 10) -> Find:
    """Workers join and leave at random, one at a time, each move waited for."""

    def find(item: str, broker: KafkaBroker, ground: Ground) -> Finding:
        chance = random.Random(seed)
        bench = Bench(broker, ground.new_folder("hundred"), seed, partitions=partitions)
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
SEEDS = {seed: PARTITIONS[seed % len(PARTITIONS)] for seed in range(1, 11)}  # ten times ten moves
CHAPTER = Chapter(
    "moves",
    "Partitions that move, and recovery",
    (
        Case(
            "hundred",
            "100 moves: workers join and leave at random (SIGKILL, SIGTERM), 1, 4 and 12 partitions; no hole, and so no guard, in any",
            items({f"10 moves, {count} partitions, seed {seed}": hundred(seed, count) for seed, count in SEEDS.items()}),
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
            "two rebalances inside one recovery of 20 MB; or one, and the recovering worker dies; 1, 4 and 12 partitions",
            items({f"{count} partitions, {ending}": twice(count, ending) for count in PARTITIONS for ending in ("joins", *HOWS)}),
            minutes=9,
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
