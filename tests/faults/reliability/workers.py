"""The workers of a bench, which come and go while it pumps; and what their logs and exits tell at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from streams.harness.app import group_of
from streams.harness.exits import EXIT_HOLE
from tests.faults.bench import Bench, Result
from tests.faults.points.groups import Groups, until
from tests.faults.reliability.case import Finding, Ground, Run
from tests.faults.reliability.harness import finding
from tests.kafka.broker import KafkaBroker

PER_SECOND = 1000.0
STEP_S = 0.2
MOVED_WITHIN_S = 40.0

Find = Callable[[str, KafkaBroker, Ground], Finding]


def items(finds: dict[str, Find]) -> Run:
    """Return the run of a case whose items share one broker; the short form is the first of them."""

    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        todo = [(item, find) for item, find in finds.items() if item not in done][: 1 if ground.sample else None]
        if todo:
            with ground.own_kafka() as broker:
                for item, find in todo:
                    yield find(item, broker, ground)

    return run


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
        owners = self._groups.owners(group_of(self._stage))
        return owners is not None and set(owners) == {f"{self._stage}-{number}" for number in self.fleet.running()}

    def rebalancing(self) -> bool:
        return self._groups.owners(group_of(self._stage)) is None

    def leave(self, number: int, how: str) -> None:
        if how == "SIGKILL":
            self.fleet.kill(number)
        else:
            self.fleet.terminate(number)


def told(item: str, injected: int, bench: Bench, result: Result) -> Finding:
    """Return the finding of a bench at its end; a hole that was read again is told, an exit of the guard is a failure."""
    reread = sum(bench.fleet.said(number).count("hole_reread") for number in range(100))
    found = finding(item, injected, result)
    failed = (f"the guard ended {result.exits[EXIT_HOLE]} processes",) if result.exits.get(EXIT_HOLE) else ()
    return replace(
        found, notes=", ".join(part for part in (found.notes, f"{reread} holes reread" if reread else "") if part), failed=failed
    )
