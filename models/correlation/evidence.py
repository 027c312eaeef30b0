"""The evidence table: one incident's whole picture, bounded in size."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from models.correlation.graph import graph_of, neighbourhood
from models.correlation.state import CorrelateState, OpenIncident
from schemas.base import derive_id
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import Incident, IncidentPhase, Suspect
from schemas.kinds import Criticality, Kind, Severity
from schemas.signals import Alert, AnomalyReason, Health, SeriesEvidence, Topology

WORDS = {
    Kind.ERRORS: "errors",
    Kind.LATENCY: "latency",
    Kind.MEMORY: "memory",
    Kind.POOL: "connection pool",
    Kind.CACHE: "cache",
    Kind.UP: "availability",
    Kind.RESTARTS: "restarts",
    Kind.SATURATION: "saturation",
    Kind.COMBINED: "all signals together",
}
HARD = frozenset({Kind.ERRORS, Kind.UP, Kind.RESTARTS})  # users notice at once
MAX_ALERTS = 50  # in one record: firing before resolved, then the newest
MAX_CHANGES = 100  # in one record: the newest
WEIGHTY = frozenset({Criticality.HIGH, Criticality.CRITICAL})


def picture(state: CorrelateState, incident: OpenIncident, phase: IncidentPhase, config: CorrelateConfig) -> Incident:
    """Draw the next version of an incident from the state; changes neither."""
    graph = graph_of(state.topology)
    around = neighbourhood(graph, incident.members(), config.whole_graph_limit)
    services = affected(incident)
    nodes = {node.name: node for node in state.topology.services} if state.topology else {}
    inside = set(around)
    return Incident(
        id=derive_id("ire", incident.id, incident.version),
        incident=incident.id,
        phase=phase,
        version=incident.version,
        opened_at=incident.opened_at,
        at=max(state.event_clock, incident.opened_at),
        title=title(incident, services),
        severity=incident.severity,
        services=services,
        suspects=tuple(_shorten(suspect, config.max_points) for suspect in sorted(incident.suspects.values(), key=_worst_first)),
        health=tuple(islice(_readings(state, incident, services, around, config), config.max_readings)),
        alerts=_newest_alerts(state, inside),
        changes=tuple([c for c in sorted(state.changes.values(), key=lambda c: (c.at, c.id)) if c.service in inside][-MAX_CHANGES:]),
        nodes=tuple(nodes[name] for name in around if name in nodes),
        calls=tuple(c for c in (state.topology.calls if state.topology else ()) if c.caller in inside and c.callee in inside),
        sources=tuple(incident.sources),
    )


def affected(incident: OpenIncident) -> tuple[str, ...]:
    """List the services of an incident, the worst first: open before closed, then by the largest departure."""
    worst: dict[str, tuple[bool, float]] = dict.fromkeys(incident.alert_services, (False, 0.0))
    for suspect in incident.suspects.values():
        service = suspect.evidence.service
        far = 0.0 if suspect.evidence.kind is Kind.COMBINED else departure(suspect.evidence)  # the others say how far
        worst[service] = max(worst.get(service, (False, 0.0)), (suspect.open, far))
    return tuple(sorted(worst, key=lambda name: (not worst[name][0], -worst[name][1], name)))


def departure(evidence: SeriesEvidence) -> float:
    """Return the largest |z| that the evidence knows of."""
    return max(abs(evidence.z), abs(evidence.peak_z))


def title(incident: OpenIncident, services: tuple[str, ...]) -> str:
    """Name the worst service and what is wrong with it."""
    if not services:
        return "incident"
    mine = [suspect for suspect in incident.suspects.values() if suspect.evidence.service == services[0]]
    own = {suspect.evidence.kind for suspect in mine}
    kinds = sorted(WORDS.get(kind, kind.value) for kind in own - {Kind.COMBINED} or own)
    what = ", ".join(kinds) if kinds else "a critical alert"
    others = f" and {len(services) - 1} more" if len(services) > 1 else ""
    return f"{services[0]}: {what} out of the ordinary{others}"


def severity_of(evidence: SeriesEvidence, reason: AnomalyReason, topology: Topology | None) -> Severity:
    """Grade one suspect: critical where users notice at once on a service that matters, or anything on a critical one."""
    nodes = topology.services if topology else ()
    criticality = next((node.criticality for node in nodes if node.name == evidence.service), Criticality.MEDIUM)
    hard = evidence.kind in HARD or reason is AnomalyReason.SILENCE
    if criticality is Criticality.CRITICAL or (hard and criticality in WEIGHTY):
        return Severity.CRITICAL
    return Severity.WARNING


def _newest_alerts(state: CorrelateState, inside: set[str]) -> tuple[Alert, ...]:
    near = [alert for alert in state.alerts.values() if alert.service in inside]
    return tuple(sorted(near, key=lambda alert: (not alert.firing, -alert.last, alert.fingerprint))[:MAX_ALERTS])


def _worst_first(suspect: Suspect) -> tuple[bool, float, str]:
    return (not suspect.open, -departure(suspect.evidence), suspect.anomaly)


def _readings(
    state: CorrelateState, incident: OpenIncident, services: tuple[str, ...], around: tuple[str, ...], config: CorrelateConfig
) -> Iterable[SeriesEvidence]:
    """Yield every fresh reading of the affected services, then the worst ones of each kind of those around them."""
    suspected = {(suspect.evidence.series, suspect.evidence.metric) for suspect in incident.suspects.values()}
    horizon = state.event_clock - config.stale_s * 1000
    for service in (*services, *(name for name in around if name not in services)):
        for _, health in sorted(state.health.get(service, {}).items()):
            fresh = _fresh(health, suspected, horizon)
            most = len(fresh) if service in services else 1 if health.anomalous == 0 else 3
            yield from (cut(reading, config.max_points) for reading in fresh[:most])


def _fresh(health: Health, suspected: Collection[tuple[str, str]], horizon: float) -> list[SeriesEvidence]:
    """Return the readings of since the horizon, and the suspects' own: detect tells of a series that is gone by its old points."""
    if health.at < horizon:
        return []
    return [r for r in health.series if (r.series, r.metric) in suspected or not r.points or r.points[-1][0] >= horizon]


def cut(evidence: SeriesEvidence, points: int) -> SeriesEvidence:
    """Keep the newest points."""
    return evidence if len(evidence.points) <= points else evidence.model_copy(update={"points": evidence.points[-points:]})


def _shorten(suspect: Suspect, points: int) -> Suspect:
    shorter = cut(suspect.evidence, points)
    return suspect if shorter is suspect.evidence else suspect.model_copy(update={"evidence": shorter})
