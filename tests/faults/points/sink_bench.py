"""The sink under strikes: what stands on the control logs must stand in the store, once, and what no store can hold among the dead letters.

Scenes: `work`; `unstorable` (a value that no column holds); `away` (dead letters cannot be buried: the sink waits and keeps its
membership); `trouble` (of the brokers that it was told of all but one are not there: a client tries them in any order).
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from cli import runfile
from cli.processes import role_command, role_env
from schemas import topics
from schemas.base import canonical
from streams.harness.emit import emit
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Output
from streams.harness.topics import create_topics
from streams.sink.store import connect
from tests.faults.ledger import read_all
from tests.faults.points.driving import SESSION_S, Family, Verdict
from tests.faults.points.groups import Groups, bury, plain_environment, until
from tests.faults.points.victim import Victim
from tests.kafka.broker import KafkaBroker
from tests.unit.sink_records import outcome

WITHIN_S = 40.0
SETTLED_WITHIN_S = 60.0
STEP_S = 0.2
CONSTANTS = {"streams.sink.consumer:_CONFIG": {"session.timeout.ms": int(SESSION_S * 1000), "heartbeat.interval.ms": 800}}
PLAIN = {"FAULT_SET": json.dumps(CONSTANTS)}  # of whoever is killed at the end of a scene: the next does not wait for its session
# Soon, what happens after ten seconds without an acknowledgement.
HASTE = {"streams.sink.letters:ACKNOWLEDGED_WITHIN_S": 1.5, "streams.sink.letters:_CONFIG": {"delivery.timeout.ms": 1000}}
CONSUMES = "before streams.sink.consumer:Sink._turn:consumer.consume"
NOWHERE = ",".join(f"127.0.0.1:{port}" for port in range(1, 25))
_counter = itertools.count()


class SinkBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        from confluent_kafka import Producer

        self._kafka = KafkaSettings(broker.bootstrap)
        self._folder = folder
        self._groups = Groups(broker.bootstrap)
        create_topics(self._kafka, topics.CATALOGUE)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "log_level": 0})
        self.victim, self._second = self._slot("0"), self._slot("1")
        self._wanted: set[str] = set()
        self._bad: set[tuple[str, int]] = set()  # where stands what the store cannot hold
        self._buried: set[tuple[str, int]] = set()

    def _slot(self, instance: str) -> Victim:
        """Return a sink with a store of its own: one process owns an embedded store, so a successor beside a zombie needs another."""
        settings = {"kafka_bootstrap": self._kafka.bootstrap, "data_dir": self._folder / instance, "instance": instance}
        env = role_env({**settings, "observe_port": 0, "store_port": 0}, plain_environment())
        return Victim(role_command("sink"), env, self._folder / f"sink-{instance}.log")

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        settings = {"AIRRA_KAFKA_BOOTSTRAP": f"{NOWHERE},{self._kafka.bootstrap}"} if scene == "trouble" else {}
        constants = {**CONSTANTS, **(HASTE if scene == "away" else {})}
        seen, away = Path(environment.get("FAULT_SEEN", self._folder / "seen")), False
        seen.unlink(missing_ok=True)
        self.victim.start({"FAULT_SEEN": str(seen), **environment, "FAULT_SET": json.dumps(constants)}, settings)
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and not over() and (self.victim.running or self.victim.stopped):
            if scene == "away" and not away and seen.exists() and CONSUMES in seen.read_text():
                away = True
                self._bury_nothing()
            if scene != "trouble":  # a broker that sends something is not in trouble
                self._produce(scene)
            time.sleep(STEP_S)

    def _bury_nothing(self) -> None:
        """Take the topic of the dead letters away; what was in it is remembered."""
        self._buried |= self._letters()
        admin = AdminClient(self._kafka.confluent())
        admin.delete_topics([topics.DLQ.name])[topics.DLQ.name].result(15)

    def _produce(self, scene: str = "") -> None:
        for _ in range(20):
            made = outcome(f"act-{next(_counter)}")
            self._wanted.add(made.id)
            self._send(emit(topics.OUTCOMES, made.action, made))
        if scene == "unstorable":
            made = outcome(f"act-{next(_counter)}").model_copy(update={"correct": 2**70})
            self._send(Output(topics.OUTCOMES.name, b"k", canonical(made)), bad=True)
        self._send(Output(topics.INCIDENTS.name, b"k", b"nonsense"), bad=True)
        self._producer.flush(30)

    def _send(self, output: Output, *, bad: bool = False) -> None:
        def stands(_error: Any, message: Any) -> None:
            if bad:
                self._bad.add((message.topic(), message.offset()))

        self._producer.produce(output.topic, output.value, output.key, headers=list(output.headers), on_delivery=stands)

    def bury(self) -> None:
        create_topics(self._kafka, [topics.DLQ])
        moved = lambda: self._groups.without("airra-sink", "airra-sink-0")  # noqa: E731
        bury(self.victim, self._second, PLAIN, moved, self._go_on)

    def _go_on(self) -> None:
        self._produce()
        time.sleep(STEP_S)

    def judge(self) -> Verdict:
        """Wait until everything is in the stores, and count."""
        verdict = Verdict()
        self._second.start()
        self.victim.start()

        def settled() -> bool:
            rows = [row for instance in ("0", "1") for row in self._stored(instance)]
            verdict.lost = len(self._wanted - {name for name, _ in rows}) + len(self._bad - self._buried - self._letters())
            verdict.doubled = sum(count > 1 for _, count in rows)
            verdict.wrong = len({name for name, _ in rows} - self._wanted)
            return verdict.lost == 0

        try:
            until(settled, SETTLED_WITHIN_S, "everything is stored", lambda: time.sleep(0.5))
        except RuntimeError:
            verdict.failed = (f"{verdict.lost} records are not in the store",)
        self.victim.kill()
        self._second.kill()
        return verdict

    def _stored(self, instance: str) -> list[tuple[str, int]]:
        """Return the outcomes of a store with how often each stands there."""
        found = runfile.read(self._folder / instance, "sink")
        if found is None:
            return []
        try:
            client = connect(f"http://127.0.0.1:{found['store_port']}")
            return [
                (str(name), int(count)) for name, count in client.query("SELECT id, count() FROM outcomes FINAL GROUP BY id").result_rows
            ]
        except Exception:
            return []  # it is starting; the wait has an end

    def _letters(self) -> set[tuple[str, int]]:
        records = read_all(self._kafka.bootstrap, topics.DLQ.name)
        return {((one.header("airra.error.topic") or b"").decode(), int(one.header("airra.error.offset") or -1)) for one in records}

    def close(self) -> None:
        self.victim.kill()
        self._second.kill()


FAMILY = Family(
    "sink",
    "the sink at every call of a client or of the store",
    owns=("streams.sink.",),
    scenes=("work", "away", "trouble", "unstorable"),  # what the last leaves uncommitted is slow to write
    make=SinkBench,
    shared=False,
    minutes={"kill": 5, "stop": 8},
    lanes=1,
    worked="after streams.sink.batch:Batch.write:store.insert",
)
