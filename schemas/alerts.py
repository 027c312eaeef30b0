"""airra.alerts.v1: one notification of one alert, keyed by its fingerprint; what dedup folds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Frozen, Millis, Position
from schemas.kinds import Severity
from schemas.signals import Tick


class AlertEvent(Frozen):
    """One alert of one webhook call."""

    type: Literal["alert_event"] = "alert_event"
    id: str  # derive_id("ale", source, index)
    fingerprint: str
    service: str
    name: str
    severity: Severity
    firing: bool
    labels: dict[str, str] = Field(default_factory=dict)
    starts_at: Millis
    at: Millis  # event time: of a firing notification when it was said, of a resolved one when the alert ended
    summary: str = ""
    source: Position  # the raw record
    index: int = 0  # among the alerts of that record


AlertRecord = Annotated[AlertEvent | Tick, Field(discriminator="type")]
ALERT_RECORDS: TypeAdapter[AlertRecord] = TypeAdapter(AlertRecord)
