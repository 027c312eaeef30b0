"""airra.outcomes.v1 and airra.notices.v1: what came of it, and whom to tell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Frozen, Millis, Position
from schemas.kinds import ActionName, Cause, Mode, Severity, Verdict


class MetricVerdict(Frozen):
    series: str
    service: str
    metric: str
    before: float | None
    after: float | None
    improvement: float | None  # share of the departure's value: 0.2 is 20 % better
    in_band: bool
    points: int


class Outcome(Frozen):
    """The verified end of one action."""

    type: Literal["outcome"] = "outcome"
    id: str  # derive_id("out", action)
    version: int = 1  # an operator's confirmed cause writes a higher one
    action: str
    proposal: str
    incident: str
    mode: Mode
    service: str
    cause: Cause
    action_name: ActionName
    verdict: Verdict
    confidence: float
    correct: int | None
    confirmed_by: str | None = None
    metrics: tuple[MetricVerdict, ...]
    started_at: Millis
    finished_at: Millis
    at: Millis
    source: Position


class NoticeKind(StrEnum):
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_GROWN = "incident_grown"  # another service joined one that was told of a while ago
    INCIDENT_RESOLVED = "incident_resolved"
    APPROVAL_NEEDED = "approval_needed"
    EXECUTED = "executed"
    REFUSED = "refused"
    VERIFIED = "verified"
    UNDONE = "undone"
    ESCALATED = "escalated"
    DRIFT = "drift"  # a slow leak; of no incident


class Notice(Frozen):
    type: Literal["notice"] = "notice"
    id: str
    kind: NoticeKind
    incident: str
    severity: Severity
    title: str
    text: str
    at: Millis


class Delivery(Frozen):
    """tell's result: one a notice and receiver."""

    type: Literal["delivery"] = "delivery"
    id: str
    notice: str
    receiver: str
    status: Literal["delivered", "failed"]
    attempts: int
    detail: str = ""
    at: Millis


OutcomeEvent = Outcome
NoticeEvent = Annotated[Notice | Delivery, Field(discriminator="type")]
NOTICE_EVENTS: TypeAdapter[NoticeEvent] = TypeAdapter(NoticeEvent)
