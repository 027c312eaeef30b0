"""The invented incidents of the acting bench: a service that leaks memory until it is restarted, kept fresh on the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.actions import Epoch, Finished, Grant, Refused
from schemas.approvals import Explanation, Proposal
from schemas.base import Position, derive_id
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Kind, Mode
from schemas.outcomes import Delivery, Notice, Outcome
from schemas.topics import SIGNALS
from tests.unit.incident_world import incident, reading, suspect

SICK, WELL = 200e6, 40e6


@dataclass
class Seen:
    """What stands on the logs so far; filled from the thread of a Watch."""

    proposals: dict[str, Proposal] = field(default_factory=dict)  # by incident: the newest with an action
    asked: dict[str, None] = field(default_factory=dict)  # every proposal
    explanations: dict[str, set[str]] = field(default_factory=dict)  # ids by proposal
    grants: dict[str, Grant] = field(default_factory=dict)  # by action
    ends: dict[str, dict[str, Finished | Refused]] = field(default_factory=dict)  # by action and id
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by incident
    notices: dict[str, Notice] = field(default_factory=dict)
    deliveries: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # ids by notice and receiver
    epochs: int = 0

    def take(self, event: object, _at: int) -> None:
        match event:
            case Proposal():
                self.asked[event.id] = None
                if event.chosen is not None:
                    self.proposals[event.incident] = event
            case Explanation():
                self.explanations.setdefault(event.proposal, set()).add(event.id)
            case Grant():
                self.grants[event.id] = event
            case Finished() | Refused():
                self.ends.setdefault(event.action, {})[event.id] = event
            case Outcome():
                self.outcomes[event.incident] = event
            case Notice():
                self.notices[event.id] = event
            case Delivery():
                self.deliveries.setdefault((event.notice, event.receiver), set()).add(event.id)
            case Epoch():
                self.epochs += 1

    def end_of(self, incident: str) -> Finished | Refused | None:
        """Return how the newest action of an incident ended."""
        actions = [name for name, grant in self.grants.items() if grant.incident == incident]
        ends = self.ends.get(actions[-1], {}) if actions else {}
        return next(iter(ends.values()), None)


class Patient:
    """One incident of one service."""

    def __init__(self, key: str, publish: Callable[[Any], None], service: str = "inventory", mode: Mode = Mode.LIVE) -> None:
        self.key = key
        self.mode = mode
        self.approved = False
        self._service = service
        self._publish = publish
        self._version = 0
        self._began = int(time.time() * 1000)
        self._points: list[tuple[int, float]] = []

    def step(self, value: float, phase: IncidentPhase = IncidentPhase.UPDATED) -> None:
        """Write the incident anew, with its evidence as of now."""
        now = int(time.time() * 1000)
        self._version += 1
        self._points = [*self._points, (now, value)][-8:]
        found = reading(self._service, Kind.MEMORY, value, baseline=WELL, z=9.0 if value == SICK else 0.0, at=now)
        found = found.model_copy(update={"points": tuple(self._points)})
        told: Incident = incident(
            suspect(found, opened_at=self._began),
            key=self.key,
            version=self._version,
            phase=IncidentPhase.OPENED if self._version == 1 else phase,
        )
        identity = {"opened_at": self._began, "at": now, "id": derive_id("ire", self.key, self._version)}
        heard = (Position(topic=SIGNALS.name, partition=0, offset=self._version),)  # evidence is as old as what was heard last
        told = told.model_copy(update={**identity, "sources": heard})
        self._publish(told)
