"""The workers of a bench, which come and go while it pumps; and what their logs and exits tell at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from streams.harness.app import group_of
from streams.harness.exits import EXIT_HOLE
from tests.faults.bench import Bench, Result
from tests.faults.fleet import Fleet
from tests.faults.points.groups import Groups, until
from tests.faults.reliability.case import Finding, Ground, Listed
from tests.faults.reliability.harness import finding
from tests.kafka.broker import KafkaBroker

PER_SECOND = 1000.0
STEP_S = 0.2
MOVED_WITHIN_S = 40.0
ASSIGNED, OPENED = "partitions_assigned", "partition_opened"  # as the harness logs them
NOTHING = re.compile(r"partitions\W{1,3}\[\]")  # as JSON, or as the console shows it

Find = Callable[[str, KafkaBroker, Ground], Finding]


def items(finds: dict[str, Find]) -> Listed:
    """Return the run of a case whose items share one broker; the short form is the first of them."""

    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        todo = [(item, find) for item, find in finds.items() if item not in done][: 1 if ground.sample else None]
        if todo:
            with ground.own_kafka() as broker:
                for item, find in todo:
                    yield find(item, broker, ground)

    return Listed(tuple(finds), run)


class Workers:
    """The workers of a bench, which come and go while it pumps."""

    def __init__(self, bench: Bench, per_second: float = PER_SECOND) -> None:
        self.bench = bench
        self.fleet = bench.fleet
        self._per_second = per_second
        self._groups = Groups(bench.broker.bootstrap)
        self._stage = bench.stages[0]

    def pump(self, seconds: float = STEP_S) -> None:
        self.bench.pump.during(seconds, self._per_second)

    def settled(self) -> None:
        """Wait until the partitions are with those that run, and with nobody else, and outputs come."""
        until(self._with_us, MOVED_WITHIN_S, "the partitions moved", self.pump)
        self.bench.at_work(self._per_second)

    def _with_us(self) -> bool:
        return self._owned().keys() == set(self.fleet.running())

    def _owned(self) -> Mapping[int, int]:
        """Return by number how many partitions each worker has, of every topic; nothing while the group moves."""
        owners = self._groups.owners(group_of(self._stage)) or {}
        return {int(name.rpartition("-")[2]): count for name, count in owners.items()}

    def holder(self) -> int:
        """Return the worker that has the most partitions, once the group does not move."""
        owned: dict[int, int] = {}

        def known() -> bool:
            owned.clear()
            owned.update(self._owned())
            return sum(owned.values()) > 0

        until(known, MOVED_WITHIN_S, "partitions are with somebody", self.pump)
        return max(owned, key=owned.__getitem__)

    def rebalancing(self) -> bool:
        return self._groups.owners(group_of(self._stage)) is None

    def leave(self, number: int, how: str) -> None:
        if how == "SIGKILL":
            self.fleet.kill(number)
        else:
            self.fleet.terminate(number)


class Life:
    """What a worker logs from one start of it on."""

    def __init__(self, fleet: Fleet, number: int, strike: Mapping[str, str] | None = None) -> None:
        """Start it, with a strike of tests/faults/points or without."""
        self._fleet = fleet
        self.number = number
        self._begun = len(fleet.said(number))
        fleet.start(number, strike)

    @property
    def said(self) -> str:
        return self._fleet.said(self.number)[self._begun :]

    def freeze(self) -> None:
        self._fleet.freeze(self.number)

    def resume(self) -> None:
        self._fleet.resume(self.number)

    @property
    def stopped(self) -> bool:
        return self._fleet.stopped(self.number)

    @property
    def assigned(self) -> int:
        """Return how often it has been assigned partitions."""
        return self.said.count(ASSIGNED)


def in_recovery(said: str) -> int:
    """Return how often a worker has been assigned partitions in the recovery that it is in; 0 when it is in none."""
    count = within_recovery(said)
    return count if count == said.count(ASSIGNED) and OPENED not in said else 0


def within_recovery(said: str) -> int:
    """Return how often a worker was assigned partitions before it opened the first one: all but one of them are rebalances it met.

    An assignment of nothing ends the recovery: others have what was to be recovered.
    """
    count = 0
    for line in said.splitlines():
        if OPENED in line or (ASSIGNED in line and NOTHING.search(line)):
            return count
        count += ASSIGNED in line
    return count


def told(item: str, injected: int, bench: Bench, result: Result) -> Finding:
    """Return the finding of a bench at its end, under faults that no worker should end of.

    The guard of the facts (4.6) was one thing, an exit; now a hole is read again, and the guard ends the process only where that does not
    close it. Both tell of a cause of holes that is still there, so where partitions move neither may happen.
    """
    return held(finding(item, injected, result, excused=()), bench.fleet)


def held(found: Finding, fleet: Fleet) -> Finding:
    """Count the holes that workers read again, and the ends by the guard; either is a failure."""
    rereads, guards = fleet.counted("hole_reread"), fleet.exits[EXIT_HOLE]
    counted = {f"{rereads} holes had to be read again": rereads, f"the guard ended {guards} processes": guards}
    failed = tuple(text for text, count in counted.items() if count)
    return replace(found, rereads=rereads, guards=guards, failed=(*found.failed, *failed))
