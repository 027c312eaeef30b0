"""What a benchmark runs on: an Apache Kafka, the roles as `airra worker` starts them, and processes of peers beside them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.meter import Reading, Unmeasured
from cli import runfile
from cli.demo.stack import Stack
from cli.processes import stop
from schemas import topics
from streams.harness.children import spawn
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.ledger import length
from tests.kafka.broker import KafkaBroker

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".build" / "bench" / "bin" / "python"  # made by `make bench-setup`
GRACE_S = 5.0
ANSWER_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Bed:
    bootstrap: str
    folder: Path

    @contextlib.contextmanager
    def roles(self, *names: str, instance: str = "0", **settings: Any) -> Iterator[Stack]:
        """Run these roles, supervised; they answer once this is entered."""
        with Stack(self.folder / f"run-{instance}", {**settings, "instance": instance}, self.bootstrap, names) as stack:
            stack.start_roles()
            deadline = time.monotonic() + ANSWER_WITHIN_S
            while not all(runfile.read(stack.directory, name) for name in names):
                if time.monotonic() > deadline:
                    raise Unmeasured(f"{', '.join(names)} did not start; logs are in {stack.directory / 'logs'}")
                time.sleep(LOOK_EVERY_S)
            yield stack


@contextlib.contextmanager
def bed() -> Iterator[Bed]:
    """Start an Apache Kafka of its own in a temporary folder, with every topic; and remove all of it."""
    with tempfile.TemporaryDirectory(prefix="airra-bench-") as name, KafkaBroker(Path(name) / "kafka") as broker:
        create_topics(KafkaSettings(bootstrap=broker.bootstrap), topics.CATALOGUE, 1)
        for spec in topics.CATALOGUE:
            length(broker.bootstrap, spec.name)  # once each has its leaders
        yield Bed(broker.bootstrap, Path(name))


class Peer:
    """A process that prints readings as lines of JSON."""

    def __init__(self, python: Path, module: str, bed: Bed, topic: str) -> None:
        self._out = bed.folder / f"{module}.out"
        self._log = bed.folder / f"{module}.log"
        command = [str(python), "-m", module, "--bootstrap", bed.bootstrap, "--topic", topic, "--folder", str(bed.folder / module)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._files = [self._out.open("wb"), self._log.open("wb")]
        self.process = spawn(command, stdout=self._files[0], stderr=self._files[1], env=env, cwd=ROOT)

    def count(self) -> float:
        readings = self.readings()
        return readings[-1].count if readings else 0.0

    def alive(self) -> bool:
        return self.process.poll() is None

    def readings(self) -> list[Reading]:
        """Return what it has said: whole lines of JSON; a banner is none."""
        said = self._out.read_bytes().rpartition(b"\n")[0].splitlines()
        lines = (json.loads(line) for line in said if line.startswith(b"{"))
        return [Reading(one["at"], float(one["count"])) for one in lines]

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-800:]

    def close(self) -> None:
        stop(self.process, GRACE_S)
        for file in self._files:
            file.close()
