"""normalise under strikes: what producers wrote must come out, each record's rows with its own coordinates, whoever is killed.

Scenes: `work` (what is written is acknowledged later than the next batch comes, so that it is waited for); `full` (the producer holds
few records, and is full again and again).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from cli.processes import role_command, role_env
from schemas import topics
from schemas.samples import BATCH_HEADER, decode_batches
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.ledger import read_all
from tests.faults.points.driving import SESSION_S, Family, Verdict
from tests.faults.points.groups import Groups, bury, plain_environment, until
from tests.faults.points.victim import Victim
from tests.kafka.broker import KafkaBroker

WITHIN_S = 30.0
SETTLED_WITHIN_S = 60.0
STEP_S = 0.2
EACH = 50  # samples, and alerts of one webhook, a step
CONSTANTS = {"streams.normalise.consumer:SESSION_TIMEOUT_MS": int(SESSION_S * 1000), "streams.normalise.consumer:HEARTBEAT_MS": 800}
PLAIN = {"FAULT_SET": json.dumps(CONSTANTS)}  # of whoever is killed at the end of a scene: the next does not wait for its session
PRODUCERS: dict[str, dict[str, int]] = {"work": {"linger.ms": 500}, "full": {"queue.buffering.max.messages": 20}}
MAPPING = "metrics:\n  - {match: requests_total, kind: requests, type: counter}\n"


class NormaliseBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._bootstrap = broker.bootstrap
        self._folder = folder
        self._groups = Groups(broker.bootstrap)
        create_topics(KafkaSettings(broker.bootstrap), topics.CATALOGUE)
        (folder / "metrics.yaml").write_text(MAPPING)
        self.victim, self._second = self._slot("0"), self._slot("1")
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "log_level": 0})
        self._sent: dict[str, dict[tuple[int, int], float]] = {}  # by topic: what stands where; garbage is 0, a webhook its alerts
        self._number = 0

    def _slot(self, instance: str) -> Victim:
        settings = {"kafka_bootstrap": self._bootstrap, "data_dir": self._folder / instance, "instance": instance, "observe_port": 0}
        env = role_env({**settings, "metrics_file": self._folder / "metrics.yaml"}, plain_environment())
        return Victim(role_command("normalise"), env, self._folder / f"normalise-{instance}.log")

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        self.victim.start({**environment, "FAULT_PRODUCER": json.dumps(PRODUCERS[scene]), "FAULT_SET": json.dumps(CONSTANTS)})
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and not over() and (self.victim.running or self.victim.stopped):
            self._produce()
            time.sleep(STEP_S)

    def _produce(self) -> None:
        """Write samples, a webhook of many alerts, a change, and garbage."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for _ in range(EACH):
            self._number += 1
            labels = {"__name__": "requests_total", "service": f"s{self._number % 5}", "instance": f"i{self._number % 20}"}
            body = {"labels": labels, "name": "requests_total", "timestamp": stamp, "value": str(self._number)}
            self._send(topics.RAW_METRICS.name, body, float(self._number))
        alerts = [{"status": "firing", "labels": {"alertname": f"A{n}", "service": "s1"}, "startsAt": stamp} for n in range(EACH)]
        self._send(topics.RAW_ALERTS.name, {"alerts": alerts}, float(EACH))
        change = {"type": "deploy", "service": "s1", "at": int(time.time() * 1000), "before": "v1", "after": "v2"}
        self._send(topics.RAW_CHANGES.name, change, 1.0)
        self._send(topics.RAW_METRICS.name, b"{", 0.0)
        self._producer.flush(30)

    def _send(self, topic: str, body: Any, value: float) -> None:
        kept = self._sent.setdefault(topic, {})

        def stands(_error: Any, message: Any) -> None:
            kept[message.partition(), message.offset()] = value

        self._producer.produce(topic, body if isinstance(body, bytes) else json.dumps(body).encode(), on_delivery=stands)

    def bury(self) -> None:
        lanes = ("normalise", "normalise-events")
        moved = lambda: all(self._groups.without(f"airra-{lane}", f"airra-{lane}-0") for lane in lanes)  # noqa: E731
        bury(self.victim, self._second, PLAIN, moved, self._go_on)

    def _go_on(self) -> None:
        self._produce()
        time.sleep(STEP_S)

    def judge(self) -> Verdict:
        """Wait until all is there, and compare what came out with what was written, coordinate by coordinate."""
        self.victim.start()
        verdict = Verdict()

        def settled() -> bool:
            verdict.lost, verdict.wrong = self._compared()
            return verdict.lost == 0

        try:
            until(settled, SETTLED_WITHIN_S, "all has come out", lambda: time.sleep(0.5))
        except RuntimeError:
            verdict.failed = (f"{verdict.lost} records did not come out",)
        self.victim.kill()
        shutil.rmtree(self._folder / "0", ignore_errors=True)
        return verdict

    def _compared(self) -> tuple[int, int]:
        samples, events, letters = self._rows(), self._events(), self._letters()
        wrong = lost = 0
        for topic, kept in self._sent.items():
            for where, value in kept.items():
                garbage = topic == topics.RAW_METRICS.name and value == 0.0
                if garbage:
                    lost += (topic, *where) not in letters
                elif topic == topics.RAW_METRICS.name:
                    found = samples.get(where, set())
                    lost += not found
                    wrong += len(found) > 0 and {number for number, _ in found} != {value}
                    wrong += len({place for _, place in found}) > 1
                else:
                    lost += int(value) - len(events.get((topic, *where), ()))
        known = {where for topic, kept in self._sent.items() for where in ((topic, *at) for at in kept)}
        wrong += sum((topics.RAW_METRICS.name, *where) not in known for where in samples) + len(letters - known)
        return lost, wrong

    def _rows(self) -> dict[tuple[int, int], set[tuple[float, int]]]:
        """Return by coordinates of the raw record the values and partitions of its rows."""
        found: dict[tuple[int, int], set[tuple[float, int]]] = {}
        for record in read_all(self._bootstrap, topics.SAMPLES.name):
            if record.header("airra.type") != b"samples":
                continue
            for source, batch in decode_batches(record.value, record.header(BATCH_HEADER)).parts():
                for offset, value in zip(batch.offset.tolist(), batch.value.tolist(), strict=True):
                    found.setdefault((source.partition, offset), set()).add((value, record.partition))
        return found

    def _events(self) -> dict[tuple[str, int, int], set[str]]:
        """Return by coordinates of the raw record the ids of the alerts and changes that came of it."""
        found: dict[tuple[str, int, int], set[str]] = {}
        for topic in (topics.ALERTS.name, topics.SIGNALS.name):
            for record in read_all(self._bootstrap, topic):
                body = json.loads(record.value)
                if (source := body.get("source")) is not None:
                    found.setdefault((source["topic"], source["partition"], source["offset"]), set()).add(body["id"])
        return found

    def _letters(self) -> set[tuple[str, int, int]]:
        names = ("airra.error.topic", "airra.error.partition", "airra.error.offset")
        told = ([(record.header(name) or b"0").decode() for name in names] for record in read_all(self._bootstrap, topics.DLQ.name))
        return {(topic, int(partition), int(offset)) for topic, partition, offset in told}

    def close(self) -> None:
        self.victim.kill()
        self._second.kill()


FAMILY = Family(
    "normalise",
    "normalise at every call of a client",
    owns=("streams.normalise.",),
    scenes=tuple(PRODUCERS),
    make=NormaliseBench,
    shared=False,
    minutes={"kill": 4, "stop": 6},
    lanes=1,
    worked="after streams.normalise.acks:send:appender.produce",
)
