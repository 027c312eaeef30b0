"""airra.signals.v1: everything that correlate folds, in one order."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from schemas.base import Frozen, Millis, Position
from schemas.kinds import ChangeType, Criticality, Direction, Kind, Severity


class Season(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class Usual(Frozen):
    """What a metric of a service is on average at this time of other hours, days or weeks, in the slot that it falls into."""

    value: float
    season: Season


class SeriesEvidence(Frozen):
    """One derived series against its own baseline; points are the last ones, oldest first."""

    series: str  # 16 hex digits; of a histogram: the group's id, with the statistic in `metric`
    service: str
    instance: str = ""
    metric: str  # "http_request_duration_seconds:p95"
    kind: Kind
    unit: str = ""
    direction: Direction
    value: float
    baseline: float
    low: float  # the band of ordinary values before the departure
    high: float
    z: float  # robust standard deviations from the baseline, signed: positive is above
    peak_z: float = 0.0  # largest |z| since the anomaly opened, with its sign
    points: tuple[tuple[Millis, float], ...] = ()
    usual: Usual | None = None  # as an anomaly opens, where that is most of it


class Phase(StrEnum):
    OPENED = "opened"
    CONTINUED = "continued"
    CLOSED = "closed"


class AnomalyReason(StrEnum):
    SHIFT = "shift"
    SILENCE = "silence"
    GAVE_UP = "gave_up"  # closed without recovery: its series had to make room, or means something else now


class Anomaly(Frozen):
    """A series left its ordinary band in its bad direction (or fell silent), still is, or is back."""

    type: Literal["anomaly"] = "anomaly"
    id: str  # derive_id("sig", anomaly, phase, at)
    anomaly: str  # derive_id("anm", series, opened_at): the same in all phases
    phase: Phase
    reason: AnomalyReason
    opened_at: Millis  # event time
    at: Millis  # event time
    evidence: SeriesEvidence
    source: Position


class Health(Frozen):
    """The state of one kind of one service, every 10 s of event time; `series` holds the worst and every series watched."""

    type: Literal["health"] = "health"
    id: str
    service: str
    kind: Kind
    at: Millis
    series_count: int
    anomalous: int
    series: tuple[SeriesEvidence, ...]  # the worst first; at most 8; those anomalous within the last 10 minutes are among them
    source: Position


class AlertReason(StrEnum):
    """Why dedup says it again."""

    FIRST = "first"
    SEVERITY = "severity"  # rose within the window
    RESOLVED = "resolved"
    REFIRED = "refired"
    REPEATED = "repeated"  # at most every 30 s of event time
    CLOSED = "closed"  # the window's final count
    LATE = "late"  # its window had closed; counted alone


class Alert(Frozen):
    """A deduplicated alert: first and last of its window, how often, the highest severity seen."""

    type: Literal["alert"] = "alert"
    id: str
    fingerprint: str
    service: str
    name: str
    severity: Severity
    firing: bool  # the newest word on this fingerprint, whichever window the counts are of
    count: int
    first: Millis
    last: Millis
    reason: AlertReason = AlertReason.FIRST
    summary: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    source: Position


class Change(Frozen):
    """Something was changed on purpose."""

    type: Literal["change"] = "change"
    id: str
    change: ChangeType
    service: str
    at: Millis
    before: str = ""
    after: str = ""
    name: str = ""  # of the flag or setting
    by: str = ""
    source: Position | None = None


class ServiceNode(Frozen):
    name: str
    criticality: Criticality = Criticality.MEDIUM
    workers: int | None = None
    release: str | None = None


class Call(Frozen):
    caller: str = Field(alias="from")
    callee: str = Field(alias="to")

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", populate_by_name=True, serialize_by_alias=True)


class Topology(Frozen):
    """The service graph as its owner last wrote it."""

    type: Literal["topology"] = "topology"
    id: str
    at: Millis
    digest: str
    services: tuple[ServiceNode, ...]
    calls: tuple[Call, ...]


class Tick(Frozen):
    """Time as a record: written by the owner of the partition, read alike by live runs and replays."""

    type: Literal["tick"] = "tick"
    at: Millis


Signal = Annotated[Anomaly | Health | Alert | Change | Topology | Tick, Field(discriminator="type")]
SIGNALS: TypeAdapter[Signal] = TypeAdapter(Signal)
