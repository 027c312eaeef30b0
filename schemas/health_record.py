"""Health as detect writes it: the fields of signals.Health, in a form that is soon built and encoded.

In a backlog health is most of what detect writes, and a pydantic model of it costs more than to detect. Fields stand in the order of
their names, for that is the order in canonical bytes; readers go on validating with the models, and a test holds the two forms equal.
"""

from __future__ import annotations

import msgspec

from schemas.kinds import Direction, Kind


class PositionRecord(msgspec.Struct, frozen=True, gc=False):
    offset: int
    partition: int
    topic: str


class EvidenceRecord(msgspec.Struct, frozen=True, gc=False):
    baseline: float
    direction: Direction
    high: float
    instance: str
    kind: Kind
    low: float
    metric: str
    peak_z: float
    points: list[tuple[int, float]]
    series: str
    service: str
    unit: str
    usual: None  # said of anomalies alone
    value: float
    z: float


class HealthRecord(msgspec.Struct, frozen=True, gc=False):
    anomalous: int
    at: int
    id: str
    kind: Kind
    series: list[EvidenceRecord] | msgspec.Raw  # or their JSON
    series_count: int
    service: str
    source: PositionRecord
    type: str = "health"
