"""The harness under strikes: the campaign's counting stage, its outputs and its state compared with a linear replay of the input log.

Worker 0 is the victim, worker 1 works beside it and takes over. Scenes: `work`; `join` (a third worker comes); `end` (SIGTERM);
`retry` (a fold that cannot yet); `gaps` (markers of transactions in the log); `stall` (a fold that cannot go on: the watchdog leaves);
`opening` (a recovery that takes longer than the watchdog bears).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas.topics import DLQ
from streams.harness.app import changelog_of, group_of
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.ledger import Pump, difference, expected, read_all, saved_states
from tests.faults.points.code import STAGE_COMMIT
from tests.faults.points.driving import SESSION_S, Family, Verdict
from tests.faults.points.groups import MOVED_WITHIN_S, Groups, plain_environment, python, until
from tests.faults.points.victim import Victim
from tests.faults.points.worker import is_wide
from tests.kafka.broker import KafkaBroker

PARTITIONS = 4
PER_SECOND = 200
STEP_S = 0.5  # times the rate: a batch of the pump
TRANSACTED_S = 2.0  # between transactions: to be sure about each gap costs a worker about a second
WITHIN_S = 40.0  # of one scene; a strike falls long before
SETTLED_WITHIN_S = 90.0
FOLDS = "after streams.harness.worker:StageWorker._take:self._apply"
# Small, so that what happens seldom happens soon.
CONSTANTS: dict[str, Any] = {
    "streams.harness.app:SESSION_TIMEOUT_MS": int(SESSION_S * 1000),
    "streams.harness.app:HEARTBEAT_MS": 800,
    "streams.harness.saver:TRIM_AFTER_RECORDS": 6,
    "streams.harness.worker:UNACKED_OUTPUTS": 5,
}
OF_SCENE: dict[str, dict[str, Any]] = {
    "stall": {"streams.harness.watchdog:STALLED_S": 1.5, "streams.harness.watchdog:LOOK_EVERY_S": 0.3},
    "opening": {"streams.harness.watchdog:OPENING_S": 0.02, "streams.harness.watchdog:LOOK_EVERY_S": 0.01},
}
_counter = itertools.count()
_ASSIGNED = re.compile(r"partitions_assigned .*partitions=\[([\d, ]*)\]")
_OPENED = re.compile(r"partition_opened .*partition=(\d+)")


def opened(log: str) -> int:
    """Return how many partitions a worker has opened since its newest assignment; 0 while it has not opened all of them."""
    assigned = list(_ASSIGNED.finditer(log))
    if not assigned:
        return 0
    wanted = {int(number) for number in assigned[-1][1].split(",") if number.strip()}
    found = {int(one[1]) for one in _OPENED.finditer(log, assigned[-1].end())}
    return len(wanted) if wanted <= found else 0


class HarnessBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self._groups = Groups(broker.bootstrap)
        self._renew()

    def _renew(self) -> None:
        """Begin with logs of their own: what is compared stays small."""
        mark = f"{os.getpid()}-{next(_counter)}"
        self._source, self._target, self._narrow, self._name = (f"{stem}-{mark}" for stem in ("in", "out", "narrow", "count"))
        logs = [NewLog(name, PARTITIONS, {}) for name in (self._source, self._target)]
        create_topics(KafkaSettings(self._broker.bootstrap), [*logs, NewLog(self._narrow, 1, {"max.message.bytes": "1000"}), DLQ])
        self._here = self._folder / mark
        self._trouble = self._here / "trouble"
        self._trouble.mkdir(parents=True)
        self._seen = self._here / "seen"
        self.victim, self._second, self._third = (self._slot(number) for number in range(3))
        self._pump = Pump(self._broker.bootstrap, self._source, next(_counter), lambda: None)
        self._transactions: Producer | None = None

    def _slot(self, number: int) -> Victim:
        command = python("tests.faults.points.worker", "--bootstrap", self._broker.bootstrap, "--instance", str(number))
        command += ["--data", str(self._here / f"data-{number}"), "--trouble", str(self._trouble if number == 0 else self._here / "none")]
        command += ["--stage", f"{self._name}:{self._source}:{self._target}:{self._narrow}"]
        return Victim(command, plain_environment(), self._here / f"worker-{number}.log")

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        if not self._second.running:
            self._second.start()
        if scene == "retry":
            (self._trouble / "retry").touch()
        self._seen.unlink(missing_ok=True)
        constants = json.dumps({**CONSTANTS, **OF_SCENE.get(scene, {})})
        self.victim.start({"FAULT_SEEN": str(self._seen), **environment, "FAULT_SET": constants})
        seen, troubled = Path(environment.get("FAULT_SEEN", self._seen)), False
        deadline, transacted = time.monotonic() + WITHIN_S, 0.0
        while time.monotonic() < deadline and not over() and (self.victim.running or self.victim.stopped):
            self._pump.during(STEP_S, PER_SECOND)
            if scene == "gaps" and time.monotonic() > transacted + TRANSACTED_S:
                transacted = time.monotonic()
                self._transact()
            elif not troubled and seen.exists() and FOLDS in seen.read_text():
                troubled = True
                self._make_trouble(scene)

    def _make_trouble(self, scene: str) -> None:
        if scene == "join":
            self._third.start({"FAULT_SET": json.dumps(CONSTANTS)})  # killed at the end of the scene: nobody waits for its session
        elif scene == "end":
            self.victim.signal(signal.SIGTERM)
        elif scene == "stall":
            (self._trouble / "stall").touch()

    def _transact(self) -> None:
        """Commit a transaction and abort one, on every partition: their markers are gaps between the records."""
        if self._transactions is None:
            made = Producer({"bootstrap.servers": self._broker.bootstrap, "transactional.id": self._source, "log_level": 0})
            made.init_transactions(30)
            self._transactions = made
        for end in (self._transactions.commit_transaction, self._transactions.abort_transaction):
            self._transactions.begin_transaction()
            for partition in range(PARTITIONS):
                self._transactions.produce(self._source, b"t", b"k1", partition=partition)
            self._transactions.flush(30)
            end(30)

    def bury(self) -> None:
        for trouble in ("retry", "stall"):
            (self._trouble / trouble).unlink(missing_ok=True)
        if self.victim.stopped:
            zombie = self.victim.release()
            if not self._second.running:
                self._second.start()
            instance = f"{self._name}-0"
            pumped = lambda: self._pump.during(STEP_S, PER_SECOND)  # noqa: E731
            until(lambda: self._groups.without(group_of(self._name), instance), MOVED_WITHIN_S, "the zombie's partitions move", pumped)
            self._pump.during(0.5, PER_SECOND)
            zombie.send_signal(signal.SIGCONT)
            self._pump.during(1.5, PER_SECOND)
            zombie.kill()
            zombie.wait()
        self.victim.kill()
        self._third.kill()

    def judge(self) -> Verdict:
        """Wait until all that a linear replay emits stands on the logs, end the workers in order, compare."""
        self._pump.flush()
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while True:
            for worker in (self.victim, self._second):
                if not worker.running:
                    worker.start()
            lost, wrong, _ = self._compared()
            # Outputs may all stand while their worker starts again after a kill: told to end then, it would not have saved its state.
            if (not lost and self._saved_all()) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        workers = (self.victim, self._second)
        # The group still counts one that was killed as a member: what they have opened is what they say themselves.
        both = lambda: [opened(worker.log) for worker in workers]  # noqa: E731
        until(lambda: all(both()) and sum(both()) == PARTITIONS, SETTLED_WITHIN_S, "both workers have opened partitions")
        ended = [self._ended(worker) for worker in workers]
        lost, wrong, _ = self._compared()
        equal = self._saved_all()
        if not (lost or wrong) and equal:
            shutil.rmtree(self._here, ignore_errors=True)
        self._renew()
        return Verdict(lost=lost, doubled=None, wrong=wrong, equal=equal, failed=tuple(one for one in ended if one))

    def _ended(self, worker: Victim) -> str:
        worker.signal(signal.SIGTERM)
        until(lambda: not worker.running, 30.0, "a worker ends after SIGTERM")
        return "" if worker.code == 0 else f"a worker that was told to end ended with {worker.code}"

    def _saved_all(self) -> bool:
        """Return whether what is saved of each partition is what a linear replay of its whole log leads to."""
        states, _ = expected(self._broker.bootstrap, self._name, self._source, self._target)
        saved = saved_states(self._broker.bootstrap, changelog_of(self._name), range(PARTITIONS))
        return {number: state.dump() for number, (_, state) in saved.items()} == {number: state.dump() for number, state in states.items()}

    def _compared(self) -> tuple[int, int, int]:
        """Return lost, wrong and repeated outputs, those that had to become dead letters included."""
        _, outputs = expected(self._broker.bootstrap, self._name, self._source, self._target)
        lost, wrong, repeated = difference(self._broker.bootstrap, self._target, outputs)
        wide = {(record.partition, record.offset) for record in read_all(self._broker.bootstrap, self._source) if is_wide(record.key)}
        letters = [
            record for record in read_all(self._broker.bootstrap, DLQ.name) if record.header("airra.error.topic") == self._source.encode()
        ]
        kept = {(int(one.header("airra.error.partition") or 0), int(one.header("airra.error.offset") or 0)) for one in letters}
        return lost + len(wide - kept), wrong + len(kept - wide), repeated

    def close(self) -> None:
        for worker in (self.victim, self._second, self._third):
            worker.kill()


FAMILY = Family(
    "harness",
    "one of two workers of a counting stage at every await of worker, saver, consumer, producer and watchdog, and at Faust's commit",
    owns=(*(f"streams.harness.{name}:" for name in ("worker", "saver", "consumer", "recovery", "producer", "watchdog")), STAGE_COMMIT),
    scenes=("work", "join", "end", "retry", "gaps", "stall", "opening"),
    make=HarnessBench,
    shared=True,
    minutes={"kill": 10, "stop": 20},
    round=8,
    sample={
        "streams.harness.saver:Saver._write:self._table.send_changelog": "work",
        "streams.harness.worker:StageWorker._take:self._send": "work",
    },
    worked=FOLDS,
)
