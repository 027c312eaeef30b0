"""A changed number of partitions met by a real `airra worker detect`: exit code 2, the steps, and nothing written or committed."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewPartitions

from cli.processes import stop
from schemas.samples import TYPE_HEADER
from schemas.topics import CATALOGUE, SAMPLES, SIGNALS
from streams.harness.app import group_of
from streams.harness.children import spawn
from streams.harness.exits import EXIT_UNFIT
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.ledger import committed, length, read_all
from tests.faults.points.groups import plain_environment, python, until
from tests.faults.reliability.case import Case, Finding, Ground, single
from tests.faults.reliability.ledger import REPO
from tests.faults.reliability.previous_release import PARTITIONS, Feed

MORE = PARTITIONS + 2
WITHIN_S = 60.0
SAYS = (f"has {MORE} partitions, and detect began with {PARTITIONS}", "1. Stop", "4. Start", "kafka-topics.sh --delete")


def start(bootstrap: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    env = {**plain_environment(), "AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_OBSERVE_PORT": "0", "AIRRA_DATA_DIR": str(folder)}
    env |= {"AIRRA_CONFIG_DIR": str(REPO / "config"), "PYTHONPATH": str(REPO)}
    with log.open("ab") as file:
        return spawn(python("cli.main", "worker", "detect"), env, stdout=file, stderr=file, cwd=folder)


def refused(ground: Ground) -> Finding:
    """Let detect learn something on four partitions, stop it, add two, and start it again."""
    folder = ground.new_folder("worker")
    with ground.own_kafka() as broker:
        create_topics(KafkaSettings(broker.bootstrap), CATALOGUE)
        feed = Feed(broker.bootstrap)
        with contextlib.closing(_Ending(start(broker.bootstrap, folder, folder / "first.log"))):
            until(lambda: _folded(broker.bootstrap), WITHIN_S, "detect has folded samples and saved", lambda: feed.during(1))
        feed.flush()
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        admin.create_partitions([NewPartitions(SAMPLES.name, MORE)])[SAMPLES.name].result(10)
        before = _standing(broker.bootstrap)
        begun = time.monotonic()
        with contextlib.closing(_Ending(start(broker.bootstrap, folder, folder / "second.log"))) as second:
            code = second.waited(WITHIN_S)
        took = time.monotonic() - begun
        failed = wrong_about(code, (folder / "second.log").read_text(errors="replace"), before, _standing(broker.bootstrap))
    return Finding(
        f"airra worker detect, {PARTITIONS} partitions become {MORE}", 1, notes=f"refused after {took:.1f} s", failed=tuple(failed)
    )


def wrong_about(code: int | None, said: str, before: tuple[int, int], after: tuple[int, int]) -> list[str]:
    """Say what about the refusal is not as it must be; `before` and `after` are signals and committed samples."""
    failed = [] if code == EXIT_UNFIT else [f"it ended with {code}" if code is not None else f"it runs on {MORE} partitions"]
    failed += [f"it did not say {words!r}" for words in SAYS if words not in said]
    return failed if before == after else [*failed, f"it wrote or committed: {before} signals and samples became {after}"]


class _Ending:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def waited(self, within_s: float) -> int | None:
        """Return the exit code; None: it has not ended."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        stop(self._process)


def _folded(bootstrap: str) -> bool:
    return length(bootstrap, SIGNALS.name) > 0 and committed(bootstrap, group_of("detect"), SAMPLES.name) > 0


def _standing(bootstrap: str) -> tuple[int, int]:
    signals = sum(1 for record in read_all(bootstrap, SIGNALS.name) if record.header(TYPE_HEADER) != b"tick")
    return signals, committed(bootstrap, group_of("detect"), SAMPLES.name)


CASE = Case(
    "partitions-worker",
    "partitions are added under a real `airra worker detect`: exit code 2 and the steps, nothing written, nothing committed",
    single(f"airra worker detect, {PARTITIONS} partitions become {MORE}", refused),
    minutes=1,
)
