"""The limits of one control worker: records per second of each stage, and how soon the standby has taken over."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from cli import logs as cli_logs
from cli import runfile
from cli.demo.stack import Stack
from cli.processes import role_command, spawn, stop
from cli.roles import ROLES
from schemas import topics
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.load import control_logs
from tests.faults.load.control_logs import Stamped
from tests.faults.load.probe import Probe
from tests.faults.points.acting_world import configuration
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, single
from tests.faults.reliability.ledger import REPO

REST = tuple(role for role in ROLES if role != "control")
RECORDS = 20_000
TAKEOVERS = 10
TAKEOVER_GOAL_S = 10.0
TAKEN_WITHIN_S = 60.0


def rates(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Fold a long log with each control stage alone, on Apache Kafka, snapshots and outputs included."""
    count = RECORDS // 20 if ground.sample else RECORDS
    cli_logs.configure("error", "bench")
    logs = {
        topics.SIGNALS.name: list(control_logs.signals(count)),
        topics.INCIDENTS.name: list(control_logs.incidents(count)),
        **control_logs.acted(count),
    }
    bootstrap = ground.kafka().bootstrap
    create_topics(KafkaSettings(bootstrap), topics.CATALOGUE, 1)
    for name, make in control_logs.stages().items():
        if name not in done:
            log, topic = logs[make().topic], f"rate-{name}-{time.monotonic_ns()}"
            _write(bootstrap, topic, log)
            measured = _measured(ground, bootstrap, name, topic, len(log))
            size = sum(len(record.output.value) for record in log) / len(log)
            rate = len(log) / measured["seconds"]
            yield Finding(name, 0, notes=f"{rate:,.0f} records/s ({len(log):,} of {size:,.0f} bytes, {measured['outputs']:,} outputs)")


def _measured(ground: Ground, bootstrap: str, name: str, topic: str, count: int) -> dict[str, Any]:
    folder = ground.new_folder("rate")
    command = [sys.executable, "-m", "tests.faults.load.rate", bootstrap, name, topic, str(count), str(folder)]
    with (folder / "log").open("wb") as log:
        found: dict[str, Any] = json.loads(subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, stderr=log, check=True).stdout)
    return found


def _write(bootstrap: str, topic: str, log: Sequence[Stamped]) -> None:
    create_topics(KafkaSettings(bootstrap), [NewLog(topic, 1, {"message.timestamp.type": "CreateTime", "retention.ms": "-1"})])
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for record in log:
        producer.produce(topic, record.output.value, record.output.key, headers=list(record.output.headers), timestamp=record.at)
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the log was not written")


def takeovers(ground: Ground) -> Finding:
    """Kill the active of two control workers; probe until the other has proposed and decided; the killed one comes back as the standby."""
    turns = 2 if ground.sample else TAKEOVERS
    folder = ground.new_folder("takeover")
    took: list[float] = []
    with ground.own_kafka() as broker, Stack(folder / "run", {"config_dir": configuration(folder)}, broker.bootstrap, REST) as stack:
        stack.start_roles()
        with contextlib.closing(Workers(stack, folder)) as workers:
            workers.start(0)
            stack.arm(3600)
            stack.wait_ready(["dedup", "sink", "api"])
            workers.start(1)
            with Probe(stack) as probe:
                for turn in range(turns):
                    _another(probe, time.time())  # the loop works
                    workers.wait_ready(1 - turn % 2)
                    took.append(_takeover(workers, turn % 2, probe))
                    ground.say(f"  {took[-1]:.1f} s")
    late = sum(1 for each in took if each > TAKEOVER_GOAL_S)
    failed = (f"{late} of {turns} took more than {TAKEOVER_GOAL_S:.0f} s",) if late else ()
    return Finding("standby", turns, recovery_s=tuple(took), notes="a whole incident, about a second, is within it", failed=failed)


class Workers:
    """Two control workers without a supervisor: what is killed stays away."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        assert stack.supervisor is not None
        plain = stack.supervisor.children["api"].env
        self._folders = [stack.directory, folder / "second"]
        self._envs = [{**plain, "AIRRA_INSTANCE": str(n), "AIRRA_DATA_DIR": str(place)} for n, place in enumerate(self._folders)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._log = (folder / "control.log").open("ab")

    def start(self, number: int) -> None:
        self._processes[number] = spawn(role_command("control"), self._envs[number], stderr=self._log, stdout=self._log)

    def wait_ready(self, number: int) -> None:
        """Wait until a worker has told its addresses: it is built, and in its groups soon after."""
        deadline = time.monotonic() + TAKEN_WITHIN_S
        while runfile.read(self._folders[number], "control") is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"control worker {number} is not there")
            time.sleep(0.1)

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait()

    def close(self) -> None:
        for process in self._processes.values():
            stop(process)
        self._log.close()


def _takeover(workers: Workers, number: int, probe: Probe) -> float:
    """Return the seconds from the kill until an incident that began after it is decided."""
    workers.kill(number)
    killed = time.time()
    decided = _another(probe, killed)
    workers.start(number)
    return decided - killed


def _another(probe: Probe, since: float) -> float:
    """Wait for an incident that began after this time and was decided; return when."""
    deadline = time.monotonic() + TAKEN_WITHIN_S
    while time.monotonic() < deadline:
        if decided := [at for begun, at in probe.ended if begun >= since]:
            return decided[0]
        time.sleep(0.05)
    raise RuntimeError(f"nothing was decided within {TAKEN_WITHIN_S:.0f} s")


CHAPTER = Chapter(
    "control",
    "Limits of one control worker",
    (
        Case("rates", "records per second of each control stage, alone, on Apache Kafka", rates, minutes=5),
        Case(
            "takeover",
            "the active control worker dies and stays away: the standby proposes and decides within 10 s",
            single("standby", takeovers),
            minutes=8,
        ),
    ),
)
