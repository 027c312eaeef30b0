"""The bench of a fault scenario: topics, workers and a pump; at its end outputs and state are compared with a linear replay."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from schemas.topics import DLQ
from streams.harness.exits import EXIT_HOLE, EXIT_STUCK
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.fleet import Fleet
from tests.faults.ledger import Pump, committed, difference, expected, length, saved_states

PARTITIONS = 4
SETTLE_S = 90.0
IDLE_S = 60.0  # without progress: what is missing then is lost
BEYOND_S = 9.0  # above the session time-out of 6 s
_counter = itertools.count()


@dataclass
class Result:
    """One line of the table."""

    scenario: str
    injected: int = 0
    sent: int = 0
    lost: int = 0
    wrong: int = 0
    repeated: int = 0
    states_equal: bool = True
    exits: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: str = ""

    @property
    def passed(self) -> bool:
        return not self.lost and not self.wrong and self.states_equal

    def line(self) -> str:
        guard, watchdog = self.exits.get(EXIT_HOLE, 0), self.exits.get(EXIT_STUCK, 0)
        others = {code: count for code, count in self.exits.items() if code not in (EXIT_HOLE, EXIT_STUCK)}
        return (
            f"{self.scenario:<22}{self.sent:>8}{self.lost:>6}{self.wrong:>7}{self.repeated:>10}  {'yes' if self.states_equal else 'NO':<6}"
            f"{guard:>6}{watchdog:>10}{others or '-'!s:>14}{self.seconds:>8.0f}  {self.notes}"
        )


HEAD = f"{'scenario':<22}{'sent':>8}{'lost':>6}{'wrong':>7}{'repeated':>10}  {'state=':<6}{'guard':>6}{'watchdog':>10}{'other exits':>14}{'s':>8}"


def unique(seed: int) -> str:
    """Return a mark that no other scenario has on its broker."""
    return f"{seed}-{next(_counter)}-{random.SystemRandom().randrange(10**6)}"


class Addressed(Protocol):
    """A broker, or a cluster of them."""

    bootstrap: str


class Bench:
    """Topics, workers and pump of one scenario; `chain` names the stages of one worker, each reading what the one before wrote."""

    def __init__(
        self,
        broker: Addressed,
        folder: Path,
        seed: int,
        chain: int = 1,
        ballast: int = 0,
        *,
        revived: bool = True,
        partitions: int = PARTITIONS,
        replication: int = 1,
        snapshot_s: float = 1.0,
        make_fleet: Callable[[str, Path, list[str]], Fleet] = Fleet,
    ) -> None:
        mark = unique(seed)
        self.broker = broker
        self.partitions = partitions
        self.logs = [f"log{index}-{mark}" for index in range(chain + 1)]
        self.stages = [f"count{index}-{mark}" for index in range(chain)]
        create_topics(KafkaSettings(broker.bootstrap), [*(NewLog(name, partitions, {}) for name in self.logs), DLQ], replication)
        arguments = ["--replication", str(replication), "--snapshot-every", str(snapshot_s)]
        for index, name in enumerate(self.stages):
            arguments += ["--stage", f"{name}:{self.logs[index]}:{self.logs[index + 1]}:1.0:{ballast}"]
        self.fleet = make_fleet(broker.bootstrap, folder / mark, arguments)
        self.pump = Pump(broker.bootstrap, self.logs[0], seed, self.fleet.revive if revived else lambda: None)

    def at_work(self, per_second: float) -> None:
        """Pump until outputs stand on the last log that were not there before: what is killed now was doing something."""
        before, deadline = length(self.broker.bootstrap, self.logs[-1]), time.monotonic() + SETTLE_S
        while length(self.broker.bootstrap, self.logs[-1]) < before + 20 and time.monotonic() < deadline:
            self.pump.during(0.5, per_second)

    def settle(self, result: Result) -> Result:
        """Wait until all that a linear replay emits stands on the last log, stop the workers in order, compare."""
        self.pump.flush()
        self._caught_up()
        self.fleet.stop()
        result.sent += self.pump.sent
        for index, name in enumerate(self.stages):
            lost, wrong, repeated = self._compare(index)
            result.lost += lost
            result.wrong += wrong
            result.repeated += repeated
            states, _ = expected(self.broker.bootstrap, name, self.logs[index], self.logs[index + 1])
            saved = saved_states(self.broker.bootstrap, f"airra-{name}-state-changelog", range(self.partitions))
            equal = {partition: saved[partition][1].dump() for partition in saved} == {
                partition: state.dump() for partition, state in states.items()
            }
            result.states_equal = result.states_equal and equal
        result.exits = dict(self.fleet.exits)
        return result

    def _caught_up(self) -> None:
        """Wait until nothing is missing and all of it is saved, as long as more is than before: a busy machine is slow, not wrong.

        Outputs may all be there while their stage is still starting again after a kill: stopped then, it would not have saved its state.
        """
        self._grown(lambda: -sum(self._compare(index)[0] for index in range(len(self.stages))))
        end = sum(length(self.broker.bootstrap, log) for log in self.logs[:-1])
        self._grown(lambda: min(0, sum(self._saved(index) for index in range(len(self.stages))) - end))

    def _grown(self, so_far: Callable[[], int]) -> None:
        """Wait until this has grown to 0; give up once it has not grown for a while."""
        best, since = None, time.monotonic()
        while time.monotonic() - since < IDLE_S:
            self.fleet.revive()
            found = so_far()
            if found == 0:
                return
            if best is None or found > best:
                best, since = found, time.monotonic()
            time.sleep(0.5)

    def _saved(self, index: int) -> int:
        """Return how many records of its log a stage has committed: its durable state holds them."""
        return committed(self.broker.bootstrap, f"airra-{self.stages[index]}", self.logs[index])

    def _compare(self, index: int) -> tuple[int, int, int]:
        _, outputs = expected(self.broker.bootstrap, self.stages[index], self.logs[index], self.logs[index + 1])
        return difference(self.broker.bootstrap, self.logs[index + 1], outputs)
