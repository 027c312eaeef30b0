"""airra.incidents.v1: the incident's life with its evidence table, and what came of actions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.actions import Finished, Refused, Started
from schemas.base import Frozen, Millis, Position
from schemas.kinds import Cause, Severity
from schemas.signals import Alert, AnomalyReason, Call, Change, SeriesEvidence, ServiceNode, Tick


class IncidentPhase(StrEnum):
    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"


class Suspect(Frozen):
    """One series that opened or joined the incident; `open` is false once it is back in its band."""

    anomaly: str
    reason: AnomalyReason
    opened_at: Millis
    open: bool
    opener: bool  # among those that opened the incident: what verification must see recover
    evidence: SeriesEvidence  # newest


class Incident(Frozen):
    """A whole picture each time: everything that reason and verify need is in the record."""

    type: Literal["incident"] = "incident"
    id: str  # derive_id("ire", incident, version)
    incident: str
    phase: IncidentPhase
    version: int
    opened_at: Millis  # event time
    at: Millis  # event time
    title: str
    severity: Severity
    services: tuple[str, ...]  # affected, worst first
    suspects: tuple[Suspect, ...]
    health: tuple[SeriesEvidence, ...]  # the newest reading per service and kind of the involved neighbourhood, ordinary ones too
    alerts: tuple[Alert, ...] = ()
    changes: tuple[Change, ...] = ()  # of the last 30 minutes in the neighbourhood
    nodes: tuple[ServiceNode, ...] = ()
    calls: tuple[Call, ...] = ()
    sources: tuple[Position, ...] = ()  # the signals that made this version


class Feedback(Frozen):
    """An operator's word on the cause."""

    type: Literal["feedback"] = "feedback"
    id: str
    incident: str
    subject: str
    at: Millis
    confirmed_service: str | None = None
    confirmed_cause: Cause | None = None
    note: str = ""


IncidentEvent = Annotated[Incident | Feedback | Started | Finished | Refused | Tick, Field(discriminator="type")]
INCIDENT_EVENTS: TypeAdapter[IncidentEvent] = TypeAdapter(IncidentEvent)
