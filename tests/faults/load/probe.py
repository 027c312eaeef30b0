"""How long an alert and an approval take while something else is going on: sent by us, timed by the broker's clock.

An alert is an Alertmanager webhook on the raw topic until its event stands on the signals log (normalise, dedup). An approval is a
request to the API until the decision stands on the approvals log.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from confluent_kafka import Producer

from api.client import ApiClient, ApiError
from cli.acting import append
from cli.demo.stack import Stack
from cli.watch import Watch
from schemas import topics
from schemas.approvals import Decision, Proposal
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Mode
from schemas.signals import Alert
from streams.harness.emit import emit
from tests.faults.points.patient import SICK, Patient

ALERT_EVERY_S = 0.25
STEP_S = 0.25
PROBE = "probe-"


@dataclass
class Times:
    """Seconds from the sending to the record that answers, by the broker's clock; what was never answered is in `waiting`."""

    sent: dict[str, float] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    def send(self, key: str) -> None:
        self.sent[key] = time.time()

    def answered(self, key: str, at_ms: int) -> None:
        if key in self.sent and key not in self.took:
            self.took[key] = max(0.0, at_ms / 1000 - self.sent[key])

    def waiting(self) -> list[str]:
        """Return what has no answer; of what was sent within the last second nothing is asked yet."""
        return [key for key, at in self.sent.items() if key not in self.took and time.time() - at > 1.0]


class Probe:
    """Sends alerts and lives through one incident after the other until it is left; or through several at a time, under a name of its own."""

    def __init__(self, stack: Stack, *, lives: int = 1, name: str = PROBE) -> None:
        self._stack = stack
        self._name = name
        self.alerts, self.approvals, self.proposals = Times(), Times(), Times()
        self._known: dict[str, Proposal] = {}  # by incident
        self._decided: dict[str, float] = {}  # by proposal: when, by the broker's clock
        self.ended: list[tuple[float, float]] = []  # of each incident: when it began, when it was decided
        self._stop = threading.Event()
        works = [self._alerts, *(partial(self._incidents, life) for life in range(lives))]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        self._watch = Watch(stack.kafka.confluent(), self._take, (topics.SIGNALS.name, topics.APPROVALS.name))

    def __enter__(self) -> Self:
        self._watch.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self._watch.stop()

    def _take(self, event: object, at_ms: int) -> None:
        match event:
            case Alert() if event.name.startswith(self._name):
                self.alerts.answered(event.name, at_ms)
            case Proposal() if event.chosen is not None:
                self._known.setdefault(event.incident, event)
                self.proposals.answered(event.incident, at_ms)
            case Decision():
                self._decided.setdefault(event.proposal, at_ms / 1000)
                self.approvals.answered(event.proposal, at_ms)

    def _alerts(self) -> None:
        producer = Producer({**self._stack.kafka.confluent(), "linger.ms": 0})
        number = 0
        while not self._stop.wait(ALERT_EVERY_S):
            name = f"{self._name}{number}"
            number += 1
            labels = {"alertname": name, "service": "inventory", "severity": "info"}
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.alerts.send(name)
            value = json.dumps({"alerts": [{"status": "firing", "labels": labels, "startsAt": stamp}]}).encode()
            producer.produce(topics.RAW_ALERTS.name, value)
            producer.flush(10)

    def _incidents(self, life: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self._incident(f"inc-{self._name}{life}-{number:05d}")

    def _incident(self, key: str) -> None:
        patient = Patient(key, self._publish)
        self.proposals.send(key)
        patient.step(SICK)
        if not self._until(lambda: key in self._known, patient):
            return
        proposal = self._known[key].id
        url = f"http://127.0.0.1:{self._stack.address('api', 'api_port')}"
        self.approvals.send(proposal)
        with contextlib.suppress(ApiError, OSError, RuntimeError), ApiClient(url, self._stack.operator_token) as api:
            api.approve(proposal, "demo-operator", Mode.DRY_RUN, key=f"probe-{proposal}")
        if self._until(lambda: proposal in self._decided, patient):
            self.ended.append((self.proposals.sent[key], self._decided[proposal]))
        patient.step(SICK, IncidentPhase.RESOLVED)

    def _until(self, reached: Callable[[], bool], patient: Patient) -> bool:
        """Keep the incident fresh until then."""
        while not reached():
            if self._stop.wait(STEP_S):
                return False
            patient.step(SICK)
        return True

    def _publish(self, told: Incident) -> None:
        append(self._stack.kafka, emit(topics.INCIDENTS, told.incident, told))
