"""The code as it was before the last change, of the product and of a format, beside the code as it is: real roles, both ways."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from confluent_kafka import Producer

from cli.acting import arm
from cli.processes import stop
from schemas.kinds import Kind, Mode
from schemas.topics import ALERTS, APPROVALS, CATALOGUE, SAMPLES
from streams.harness.children import spawn
from streams.harness.emit import emit
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.acting_world import command, proposal
from tests.faults.bench import BEYOND_S
from tests.faults.points.groups import plain_environment, python
from tests.faults.reliability.case import Case, Finding, Ground, Listed
from tests.faults.reliability.comparison import compare
from tests.faults.reliability.earlier import Release, before_format, newest
from tests.faults.reliability.ledger import REPO
from tests.kafka.broker import KafkaBroker
from tests.unit.detect_feed import Log, series
from tests.unit.test_dedup import notification

PARTITIONS, SERVICES = 4, 3  # services in each partition
STEPS_PER_S = 10  # a step is a second of event time
BEHIND_S = 1_200  # the feed begins so long ago and ends before now
SETTLE_S = 60.0
OLD, NEW = "0", "1"  # instances
ROLES = ("detect", "dedup", "control")
ARMED_S = 900.0
EXPIRES_MS = 20_000  # then execute refuses what nobody sees the incident of any more, and report says so
ALERTS_APART = 7  # so many alerts repeat in turn
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
    """The roles of the stages as two instances, each of the code that it is started from."""

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
    """Proposals on the approvals log with a person's word on each, and alerts: what comes between detect's signals."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
        self.number = 0
        self.asked: set[bytes] = set()

    def once(self) -> None:
        self.number += 1
        now = int(time.time() * 1000)
        of = proposal(f"inc-asked-{self.number}", at=now, expires_at=now + EXPIRES_MS)
        alert = notification(0, self.number, name=f"alert-{self.number % ALERTS_APART}").model_copy(update={"at": now, "starts_at": now})
        said = [emit(APPROVALS, of.id, told) for told in (of, command(of, mode=Mode.DRY_RUN, at=now))]
        for output in (*said, emit(ALERTS, alert.service, alert)):
            self._producer.produce(output.topic, output.value, output.key, partition=0, headers=list(output.headers))
            self.asked.add(output.value)
        self._producer.flush(10)


# What a stage has to say at least, or nothing was shown of it. verify tells of actions that were refused: none of these is done.
SHOWS = {
    "detect": b'"type":"anomaly"',
    "dedup": b'"type":"alert"',
    "correlate": b'"type":"incident"',
    "reason": b'"type":"proposal"',
    "approve": b'"outcome":"approved"',
    "admit": b'"type":"grant"',
    "report": b'"type":"refused"',
    "verify": b'"type":"notice"',
}


def compared(broker: KafkaBroker, item: str, release: Release, asked: AbstractSet[bytes], folder: Path, notes: str) -> Finding:
    """Compare what each stage has written with linear replays of its log, once nothing is missing any more."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        comparison, said = compare(broker.bootstrap, (release.code, REPO), folder, asked)
        if not comparison.lost or time.monotonic() > deadline:
            break
    failed = [
        f"{stage} wrote no {shows.decode()}: nothing was shown"
        for stage, shows in SHOWS.items()
        if not any(shows in value for value in said[stage])
    ]
    told = [f"the release before is {release.revision}, {release.differs}", notes]
    return comparison.found(item, failed, [*told, *(f"{stage} {len(values)} records" for stage, values in said.items())])


def beside(ground: Ground, item: str, chosen: Callable[[Path], Release]) -> Finding:
    folder = ground.new_folder("previous")
    release = chosen(folder / "code")
    # Else its roles compile while they fold, for longer than this lasts.
    warm = {**plain_environment(), "PYTHONPATH": str(release.code), "PYTHONSAFEPATH": "1", "AIRRA_CONFIG_DIR": str(release.code / "config")}
    subprocess.run(python("cli.warm"), env=warm, cwd=folder, check=True, capture_output=True)
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
            arm(KafkaSettings(broker.bootstrap), "ann", ARMED_S)  # from here on: what was armed before is history
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
            notes = f"{feed.step_number} s of samples, {asking.number} proposals and as many alerts"
            return compared(broker, item, release, asking.asked, folder, notes)


def each(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    for item, chosen in ITEMS.items():
        if item not in done:
            yield beside(ground, item, chosen)


CASE = Case(
    "previous-release",
    "every stage of an earlier release and of this one in one group each; killed and moved both ways, then rolled back",
    Listed(tuple(ITEMS), each),
    minutes=6,
)
