"""The code as it was before the last change, of the product and of a format, beside the code as it is: real roles, both ways."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from cli.processes import stop
from cli.wiring import folds
from schemas.kinds import Kind, Mode
from schemas.samples import TYPE_HEADER
from schemas.settings import Settings
from schemas.topics import APPROVALS, CATALOGUE, INCIDENTS, SAMPLES, SIGNALS
from streams.harness.children import spawn
from streams.harness.emit import emit
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Record, Stage
from streams.harness.topics import create_topics
from tests.acting_world import command, proposal
from tests.faults.bench import BEYOND_S
from tests.faults.ledger import read_all
from tests.faults.points.groups import plain_environment, python
from tests.faults.reliability.case import Case, Finding, Ground, Listed
from tests.faults.reliability.earlier import Release, before_format, newest
from tests.faults.reliability.ledger import REPO
from tests.kafka.broker import KafkaBroker
from tests.unit.detect_feed import Log, series

PARTITIONS, SERVICES = 4, 3  # services in each partition
STEPS_PER_S = 10  # a step is a second of event time
BEHIND_S = 1_200  # the feed begins so long ago and ends before now
SETTLE_S = 60.0
OLD, NEW = "0", "1"  # instances
ROLES = ("detect", "control")
ITEMS: dict[str, Callable[[Path], Release]] = {
    "the newest other code beside this one": newest,
    "the code before the newest change of a format beside this one": before_format,
}


class Feed:
    """Samples of four partitions, a second of event time a step; one service of each leaves its band for a while."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
        self._random = random.Random(1)
        self._at = (int(time.time()) - BEHIND_S) * 1000
        self._logs = [Log() for _ in range(PARTITIONS)]
        kinds = (Kind.LATENCY, Kind.CPU)
        self._series = [
            [series(f"svc-{number}-{service}", kind) for service in range(SERVICES) for kind in kinds] for number in range(PARTITIONS)
        ]
        self.step_number = 0
        for number, log in enumerate(self._logs):
            log.define(*self._series[number])

    def during(self, seconds: float) -> None:
        for _ in range(int(seconds * STEPS_PER_S)):
            self._step()
            time.sleep(1 / STEPS_PER_S)

    def _step(self) -> None:
        self._at += 1000
        self.step_number += 1
        wild = self.step_number % 300 > 240
        for number, log in enumerate(self._logs):
            defined = self._series[number]
            log.rows([(one, self._at, self._value(wild=wild and one is defined[0])) for one in defined], number)
            for record in log.records:
                self._producer.produce(SAMPLES.name, record.value, None, number, timestamp=self._at, headers=list(record.headers))
            log.records.clear()
        self._producer.poll(0)

    def _value(self, *, wild: bool) -> float:
        return self._random.gauss(100.0, 2.0) * (4 if wild else 1)

    def flush(self) -> None:
        if self._producer.flush(30):
            raise RuntimeError("the feed was not acknowledged")


class Roles:
    """detect and control as two instances, each of the code that it is started from."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._env = {**plain_environment(), "AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_OBSERVE_PORT": "0", "PYTHONSAFEPATH": "1"}
        self._folder = folder
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}

    def start(self, instance: str, code: Path) -> None:
        for role in ROLES:
            data = self._folder / f"{role}-{instance}"
            env = {**self._env, "PYTHONPATH": str(code), "AIRRA_INSTANCE": instance, "AIRRA_DATA_DIR": str(data)}
            env["AIRRA_CONFIG_DIR"] = str(code / "config")
            with (self._folder / f"{role}-{instance}.log").open("ab") as log:
                command = python("cli.main", "worker", role)
                self._running[role, instance] = spawn(command, env, stdout=log, stderr=log, cwd=self._folder)

    def kill(self, instance: str) -> None:
        for role in ROLES:
            process = self._running.pop((role, instance))
            if (code := process.poll()) is not None:
                raise RuntimeError(f"{role} {instance} ended by itself with {code}")
            process.send_signal(signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        for process in self._running.values():
            stop(process)


class Asking:
    """Proposals on the approvals log, and a person's word on each: what approve decides between detect's signals."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
        self.asked = 0

    def once(self) -> None:
        self.asked += 1
        now = int(time.time() * 1000)
        of = proposal(f"inc-asked-{self.asked}", at=now, expires_at=now + 900_000)
        for told in (of, command(of, mode=Mode.DRY_RUN, at=now)):
            said = emit(APPROVALS, of.id, told)
            self._producer.produce(APPROVALS.name, said.value, said.key, partition=0, headers=list(said.headers))
        self._producer.flush(10)


@dataclass(frozen=True)
class Link:
    """A stage with the records that it writes: of these types, on this log."""

    stage: str
    log: str
    types: frozenset[bytes]
    shows: bytes  # in one of them at least, or nothing was shown


LINKS = (
    Link("detect", SIGNALS.name, frozenset({b"anomaly", b"health"}), b'"type":"anomaly"'),
    Link("correlate", INCIDENTS.name, frozenset({b"incident"}), b'"type":"incident"'),
    Link("approve", APPROVALS.name, frozenset({b"decision"}), b'"outcome":"approved"'),
)


def replayed(stage: Stage[Any], records: list[Record], link: Link) -> set[bytes]:
    """Fold a stage's log linearly with the code as it is; return what it writes."""
    states = {partition: stage.restore(None) for partition in {record.partition for record in records}}
    found = (output for record in records for output in stage.apply(states[record.partition], record, record.timestamp))
    return {output.value for output in found if output.topic == link.log and dict(output.headers)[TYPE_HEADER] in link.types}


def written(bootstrap: str, link: Link) -> list[bytes]:
    return [record.value for record in read_all(bootstrap, link.log) if record.header(TYPE_HEADER) in link.types]


def compared(broker: KafkaBroker, item: str, release: Release, notes: str) -> Finding:
    """Compare what each stage has written with a linear replay of its log, once nothing is missing any more."""
    stages = {stage.name: stage for stage in folds(Settings(kafka_bootstrap=broker.bootstrap, config_dir=REPO / "config"))}

    def expected(link: Link) -> set[bytes]:
        return replayed(stages[link.stage], read_all(broker.bootstrap, stages[link.stage].topic), link)

    _until(lambda: not any(expected(link) - set(written(broker.bootstrap, link)) for link in LINKS))
    lost = wrong = repeated = 0
    failed, told = [], [f"the release before is {release.revision}, {release.differs}", notes]
    for link in LINKS:
        there, wanted = written(broker.bootstrap, link), expected(link)
        lost, wrong = lost + len(wanted - set(there)), wrong + len(set(there) - wanted)
        repeated += len(there) - len(set(there))
        told.append(f"{link.stage} {len(wanted)} records")
        if wanted != set(there):
            failed.append(f"{link.stage}: {len(wanted - set(there))} lost, {len(set(there) - wanted)} wrong")
        if not any(link.shows in value for value in wanted):
            failed.append(f"{link.stage} wrote no {link.shows.decode()}: nothing was shown")
    return Finding(item, 5, lost=lost, wrong=wrong, repeated=repeated, notes="; ".join(told), failed=tuple(failed))


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not reached() and time.monotonic() < deadline:
        time.sleep(1.0)


def beside(ground: Ground, item: str, chosen: Callable[[Path], Release]) -> Finding:
    folder = ground.new_folder("previous")
    release = chosen(folder / "code")
    with ground.own_kafka() as broker:
        create_topics(KafkaSettings(broker.bootstrap), CATALOGUE)
        feed, asking = Feed(broker.bootstrap), Asking(broker.bootstrap)

        def during(seconds: float) -> None:
            for _ in range(int(seconds)):
                feed.during(1)
                asking.once()

        with contextlib.closing(Roles(broker.bootstrap, folder)) as roles:
            roles.start(OLD, release.code)
            during(15)
            roles.start(NEW, REPO)
            during(15)
            roles.kill(OLD)  # all partitions go to this release, with the state that the other has saved
            during(BEYOND_S + 5)
            roles.start(OLD, release.code)
            during(15)
            roles.kill(NEW)  # and back
            during(BEYOND_S + 5)
            roles.start(NEW, release.code)  # rolled back
            during(15)
            feed.flush()
            return compared(broker, item, release, f"{feed.step_number} s of samples, {asking.asked} proposals")


def each(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    for item, chosen in ITEMS.items():
        if item not in done:
            yield beside(ground, item, chosen)


CASE = Case(
    "previous-release",
    "detect, correlate and approve of an earlier release and of this one in one group each; killed and moved both ways, then rolled back",
    Listed(tuple(ITEMS), each),
    minutes=6,
)
