"""The loop with a control role whose host clock can be set while it runs; and one in which nothing is heard any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cli.acting import append
from schemas import topics
from schemas.actions import Refused, Started
from schemas.approvals import Decision, Proposal
from schemas.incidents import Incident
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import Anomaly, Health
from streams.harness.emit import emit
from tests.faults.network.loop import EVERY_S, ROLES, LoopBench
from tests.faults.network.moving import again
from tests.faults.points.acting_world import configuration
from tests.faults.points.patient import Patient, Seen
from tests.network.faketime import WrongClock
from tests.network.recorder import Recorder

PATIENCE_S = 6.0  # of the last check: what may pass by itself is waited for this long
EVIDENCE_S = 8.0
EXPIRES_S = 20.0
NO_CURE_S = 4.0
WITHIN_S = 60.0
CALL_S = 2.0  # one call of the target


@dataclass
class Told(Seen):
    """What stands on the logs, with the broker's time of it."""

    refused: dict[str, list[Refused]] = field(default_factory=dict)  # by incident
    started: dict[str, list[Started]] = field(default_factory=dict)  # by incident
    decided: dict[str, list[tuple[Decision, int]]] = field(default_factory=dict)
    said: dict[str, list[tuple[Notice, int]]] = field(default_factory=dict)
    versions: list[tuple[Incident, int]] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)  # by proposal: when it expires, in ms

    def take(self, event: object, at: int) -> None:
        super().take(event, at)
        match event:
            case Refused():
                self.refused.setdefault(event.incident, []).append(event)
            case Started():
                self.started.setdefault(event.incident, []).append(event)
            case Decision():
                self.decided.setdefault(event.incident, []).append((event, at))
            case Notice():
                self.said.setdefault(event.incident, []).append((event, at))
            case Proposal():
                self.due[event.id] = event.expires_at
            case Incident():
                self.versions.append((event, at))

    def of(self, incident: str) -> list[int]:
        """Return when the versions of an incident were told, by the broker's clock in ms."""
        return [at for version, at in self.versions if version.incident == incident]

    def when(self, incident: str, kind: NoticeKind) -> list[int]:
        """Return when notices of a kind were told of the incident, by the broker's clock in ms."""
        return [at for notice, at in self.said.get(incident, ()) if notice.kind is kind]


class ClockBench(LoopBench):
    """Use as a context; `clock.step` sets the control role's clock, `api_clock.step` that of the API, and nobody else's."""

    def __init__(self, bootstrap: str, folder: Path, *, wrong: bool = True) -> None:
        super().__init__(bootstrap, folder)
        self.told = Told()
        self.seen = self.told
        self._wrong = wrong
        self._asked: set[str] = set()

    def configuration(self) -> Path:
        folder = configuration(self._folder, "config", patience_s=PATIENCE_S, evidence_s=EVIDENCE_S)
        change(folder / "runbooks.yaml", "proposing", expires_s=EXPIRES_S, patience_s=NO_CURE_S)
        return folder

    def settings(self, control_url: str) -> dict[str, Any]:
        self.target = self._exit.enter_context(Recorder(control_url))
        return {**super().settings(f"http://{self.target.address}"), "executor_timeout_s": CALL_S}

    def _start(self) -> None:
        super()._start()
        if self._wrong:
            self.clock = self._set_wrong("control")
            self.api_clock = self._set_wrong("api")
            self.stack.wait_ready(ROLES)

    def _set_wrong(self, role: str) -> WrongClock:
        """Start a role again under a clock of its own; it is right until it is stepped."""
        assert self.stack.supervisor is not None
        clock, child = WrongClock(self._folder / f"clock-{role}"), self.stack.supervisor.children[role]
        child.env = {**child.env, **clock.environment}
        again(child)
        return clock

    def drive(self, patient: Patient, reached: Callable[[], bool], *, approving: bool, within_s: float = WITHIN_S) -> bool:
        """Keep the incident fresh until something is reached; with `approving` each new proposal is approved. Say whether it was."""
        deadline = time.monotonic() + within_s
        while not reached():
            if time.monotonic() > deadline:
                return False
            self.step(patient)
            if approving:
                self.approve_newest(patient.key)
            time.sleep(EVERY_S)
        return True

    def approve_newest(self, key: str) -> bool:
        proposal = self.seen.proposals.get(key)
        if proposal is None or proposal.id in self._asked or not self.approve(proposal):
            return False
        self._asked.add(proposal.id)
        return True

    def ended(self, patient: Patient) -> list[str]:
        """Drive the incident to its outcome; return what is not as it should be."""
        self.drive(patient, lambda: patient.key in self.seen.outcomes, approving=True)
        return self.over(patient)

    def signal(self, said: Anomaly | Health) -> None:
        """Say something on the signals log, as detect would."""
        service = said.evidence.service if isinstance(said, Anomaly) else said.service
        append(self.stack.kafka, emit(topics.SIGNALS, service, said))


def change(path: Path, section: str, **changes: float) -> None:
    """Write other values into one section of a configuration file."""
    content = yaml.safe_load(path.read_text())
    content.setdefault(section, {}).update(changes)
    path.write_text(yaml.safe_dump(content))
