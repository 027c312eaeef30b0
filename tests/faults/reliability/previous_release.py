"""The code as it was before the last change of the product, beside the code as it is, in one group: a real role, both ways."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from confluent_kafka import Producer

from cli.processes import spawn, stop
from schemas.kinds import Kind
from schemas.settings import Settings
from schemas.topics import CATALOGUE, SAMPLES, SIGNALS
from streams import detect
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.bench import BEYOND_S
from tests.faults.ledger import read_all
from tests.faults.points.groups import plain_environment, python
from tests.faults.reliability.case import Case, Finding, Ground, single
from tests.faults.reliability.ledger import PRODUCT, REPO
from tests.kafka.broker import KafkaBroker
from tests.unit.detect_feed import CONFIG, Log, series

PARTITIONS, SERVICES = 4, 3  # services in each partition
STEPS_PER_S = 10  # a step is a second of event time
BEHIND_S = 1_200  # the feed begins so long ago and ends before now
SETTLE_S = 60.0
OLD, NEW = "0", "1"  # instances
ITEM = "detect of the release before beside detect of this one"


def before(folder: Path) -> str:
    """Unpack the newest commit whose product is another than that of the working folder; return its name."""
    revisions = _git("rev-list", "-n", "500", "HEAD").decode().split()
    for revision in revisions:
        same = subprocess.run(["git", "-C", str(REPO), "diff", "--quiet", revision, "--", *PRODUCT], check=False, capture_output=True)
        if same.returncode == 1:
            with tarfile.open(fileobj=BytesIO(_git("archive", revision, "--", *PRODUCT))) as archive:
                archive.extractall(folder, filter="data")
            return revision[:7]
    raise RuntimeError("no earlier commit of the product is in this repository: fetch its history")


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(REPO), *words], capture_output=True, check=True).stdout


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
    """detect as two instances, each of the code that it is started from."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._env = {**plain_environment(), "AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_OBSERVE_PORT": "0", "PYTHONSAFEPATH": "1"}
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, instance: str, code: Path) -> None:
        env = {**self._env, "PYTHONPATH": str(code), "AIRRA_INSTANCE": instance, "AIRRA_DATA_DIR": str(self._folder / instance)}
        env["AIRRA_CONFIG_DIR"] = str(code / "config")
        with (self._folder / f"detect-{instance}.log").open("ab") as log:
            self._running[instance] = spawn(python("cli.main", "worker", "detect"), env, stdout=log, stderr=log, cwd=self._folder)

    def kill(self, instance: str) -> None:
        process = self._running.pop(instance)
        if (code := process.poll()) is not None:
            raise RuntimeError(f"detect {instance} ended by itself with {code}")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self._running.values():
            stop(process)


def replayed(bootstrap: str) -> dict[bytes, bytes]:
    """Fold the samples log linearly with the code as it is; return what comes out, by its own bytes."""
    one = detect.stage(CONFIG.model_copy(update={"sigma": Settings.model_fields["anomaly_threshold_sigma"].default}))
    states = {partition: one.restore(None) for partition in range(PARTITIONS)}
    found: dict[bytes, bytes] = {}
    for record in read_all(bootstrap, SAMPLES.name):
        for output in one.apply(states[record.partition], record, record.timestamp):
            found[output.value] = output.key or b""
    return found


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not reached() and time.monotonic() < deadline:
        time.sleep(1.0)


def _compared(broker: KafkaBroker, revision: str, steps: int) -> Finding:
    def seen() -> list[bytes]:
        return [record.value for record in read_all(broker.bootstrap, SIGNALS.name)]

    _until(lambda: not set(replayed(broker.bootstrap)) - set(seen()))
    there = seen()
    expected = set(replayed(broker.bootstrap))
    anomalies = sum(1 for value in expected if b'"type":"anomaly"' in value)
    notes = f"the release before is {revision}; {steps} s of samples, {len(expected)} signals, {anomalies} of them anomalies, "
    notes += f"{len(there) - len(set(there))} repeats of the same bytes"
    failed = () if anomalies else ("no anomaly was among the signals: nothing was shown",)
    return Finding(ITEM, 5, lost=len(expected - set(there)), wrong=len(set(there) - expected), notes=notes, failed=failed)


def beside(ground: Ground) -> Finding:
    folder = ground.new_folder("previous")
    revision = before(folder / "code")
    with ground.own_kafka() as broker:
        create_topics(KafkaSettings(broker.bootstrap), CATALOGUE)
        feed = Feed(broker.bootstrap)
        with contextlib.closing(Roles(broker.bootstrap, folder)) as roles:
            roles.start(OLD, folder / "code")
            feed.during(15)
            roles.start(NEW, REPO)
            feed.during(15)
            roles.kill(OLD)  # all partitions go to this release, with the state that the other has saved
            feed.during(BEYOND_S + 5)
            roles.start(OLD, folder / "code")
            feed.during(15)
            roles.kill(NEW)  # and back
            feed.during(BEYOND_S + 5)
            roles.start(NEW, folder / "code")  # rolled back
            feed.during(15)
            feed.flush()
            return _compared(broker, revision, feed.step_number)


CASE = Case(
    "previous-release",
    "the detect role of the last released code and of this code in one group; killed and moved both ways, then rolled back",
    single(ITEM, beside),
    minutes=3,
)
