"""A small shop to break by hand: readings, suspects, incidents and signals, and a fold driver, for tests of correlate and reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from schemas.base import Position, canonical, derive_id
from schemas.incidents import Incident, IncidentPhase, Suspect
from schemas.kinds import ChangeType, Criticality, Direction, Kind, Severity
from schemas.signals import Anomaly, AnomalyReason, Call, Change, Health, Phase, SeriesEvidence, ServiceNode, Tick, Topology
from streams.harness.stage import Output, Record, Stage

T0 = 1_790_000_000_000
SERVICES = ("gateway", "catalog", "orders", "inventory", "payments")
CALLS = (("gateway", "catalog"), ("gateway", "orders"), ("orders", "inventory"), ("orders", "payments"), ("catalog", "inventory"))
DIRECTIONS = {
    Kind.CACHE: Direction.DOWN,
    Kind.UP: Direction.DOWN,
    Kind.REQUESTS: Direction.NONE,
}
ORDINARY = {
    Kind.REQUESTS: 40.0,
    Kind.ERRORS: 0.1,
    Kind.LATENCY: 0.05,
    Kind.CPU: 0.02,
    Kind.MEMORY: 40e6,
    Kind.POOL: 0.1,
    Kind.CACHE: 0.9,
    Kind.UP: 1.0,
    Kind.RESTARTS: 0.0,
    Kind.COMBINED: 1.2,
}
METRICS = {Kind.LATENCY: "http_request_duration_seconds:p95"}


def reading(
    service: str, kind: Kind, value: float | None = None, *, z: float = 0.0, baseline: float | None = None, at: int = T0
) -> SeriesEvidence:
    """One series of a service; without a value an ordinary one."""
    normal = ORDINARY[kind] if baseline is None else baseline
    now = normal if value is None else value
    return SeriesEvidence(
        series=derive_id("s", service, kind)[2:18],
        service=service,
        metric=METRICS.get(kind, kind.value),
        kind=kind,
        direction=DIRECTIONS.get(kind, Direction.UP),
        value=now,
        baseline=normal,
        low=normal * 0.8,
        high=normal * 1.2,
        z=z,
        peak_z=z,
        points=tuple((at - 1000 * back, now) for back in (2, 1, 0)),
    )


def suspect(evidence: SeriesEvidence, *, opened_at: int = T0, is_open: bool = True, reason: AnomalyReason = AnomalyReason.SHIFT) -> Suspect:
    key = derive_id("anm", evidence.series, opened_at)
    return Suspect(anomaly=key, reason=reason, opened_at=opened_at, open=is_open, opener=True, evidence=evidence)


def change(kind: ChangeType, service: str, before: str, after: str, *, at: int = T0 - 10_000, name: str = "") -> Change:
    return Change(id=derive_id("chg", kind, service, at, name), change=kind, service=service, at=at, before=before, after=after, name=name)


def incident(
    *suspects: Suspect,
    health: Iterable[SeriesEvidence] = (),
    changes: Iterable[Change] = (),
    version: int = 2,
    phase: IncidentPhase = IncidentPhase.UPDATED,
    workers: int = 2,
    release: str = "v1",
    releases: dict[str, str] | None = None,
    key: str = "inc-1",
) -> Incident:
    """An incident of the shop; every service has ordinary readings unless others are given."""
    given = {(r.service, r.kind): r for r in (*(s.evidence for s in suspects), *health)}
    usual = (Kind.REQUESTS, Kind.ERRORS, Kind.LATENCY, Kind.CPU, Kind.MEMORY)
    table = {(name, kind): reading(name, kind) for name in SERVICES for kind in usual} | given
    return Incident(
        id=derive_id("ire", key, version),
        incident=key,
        phase=phase,
        version=version,
        opened_at=min((s.opened_at for s in suspects), default=T0),
        at=T0 + 10_000,
        title="t",
        severity=Severity.WARNING,
        services=tuple(dict.fromkeys(s.evidence.service for s in suspects)),
        suspects=suspects,
        health=tuple(table.values()),
        changes=tuple(changes),
        nodes=tuple(
            ServiceNode(
                name=n,
                criticality=Criticality.HIGH if n == "gateway" else Criticality.MEDIUM,
                workers=workers,
                release=(releases or {}).get(n, release),
            )
            for n in SERVICES
        ),
        calls=tuple(Call(caller=a, callee=b) for a, b in CALLS),
    )


def topology(
    services: Sequence[str] = SERVICES, calls: Iterable[tuple[str, str]] = CALLS, *, at: int = T0 - 60_000, digest: str = "d1", **node: Any
) -> Topology:
    return Topology(
        id=f"top-{digest}",
        at=at,
        digest=digest,
        services=tuple(ServiceNode(name=n, **{"workers": 2, "release": "v1", **node}) for n in services),
        calls=tuple(Call(caller=a, callee=b) for a, b in calls),
    )


def anomaly(
    service: str,
    kind: Kind,
    phase: Phase,
    at: int,
    *,
    opened_at: int | None = None,
    value: float | None = None,
    z: float = 8.0,
    **more: Any,
) -> Anomaly:
    evidence = reading(service, kind, ORDINARY[kind] * 5 if value is None else value, z=z, at=at)
    begun = at if opened_at is None else opened_at
    key = derive_id("anm", evidence.series, begun)
    reason = more.pop("reason", AnomalyReason.SHIFT)
    source = Position(topic="airra.samples.v1", partition=0, offset=at % 100_000)
    return Anomaly(
        id=derive_id("sig", key, phase, at),
        anomaly=key,
        phase=phase,
        reason=reason,
        opened_at=begun,
        at=at,
        evidence=evidence,
        source=source,
    )


def health(service: str, kind: Kind, at: int, value: float | None = None, *, anomalous: int = 0, z: float = 0.0) -> Health:
    source = Position(topic="airra.samples.v1", partition=0, offset=at % 100_000)
    series = (reading(service, kind, value, z=z, at=at),)
    return Health(
        id=derive_id("hlt", service, kind, at),
        service=service,
        kind=kind,
        at=at,
        series_count=1,
        anomalous=anomalous,
        series=series,
        source=source,
    )


@dataclass
class Run:
    """Drive a stage record by record; the log's offsets and append times are the caller's."""

    stage: Stage[Any]
    state: Any = None
    offset: int = 0
    outputs: list[Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.stage.restore(None)

    def record(self, model: BaseModel, now: int, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
        self.offset += 1
        return Record(self.stage.topic, 0, self.offset, now, b"k", canonical(model), headers)

    def send(self, model: BaseModel, now: int, headers: tuple[tuple[str, bytes], ...] = ()) -> list[Output]:
        return self.take(self.record(model, now, headers))

    def take(self, record: Record) -> list[Output]:
        made = list(self.stage.apply(self.state, record, record.timestamp))
        self.outputs += made
        return made

    def ticks(self, start: int, seconds: int) -> list[Output]:
        """Send a tick a second, `start` excluded."""
        return [out for s in range(1, seconds + 1) for out in self.send(Tick(at=start + 1000 * s), start + 1000 * s)]
