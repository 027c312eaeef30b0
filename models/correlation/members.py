"""Who belongs to an incident: joining, hearing again, letting go."""

from __future__ import annotations

from models.correlation.evidence import departure, severity_of
from models.correlation.graph import distance, graph_of
from models.correlation.state import CorrelateState, OpenIncident, Waiting
from schemas.base import Position
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import Suspect
from schemas.kinds import Severity
from schemas.signals import Anomaly, AnomalyReason, Health, Phase, SeriesEvidence

# Reasons of a closed anomaly that mean that it was seen to recover; any other means that detect gave its series up.
RECOVERED = frozenset({AnomalyReason.SHIFT, AnomalyReason.SILENCE})


def nearest(state: CorrelateState, service: str, config: CorrelateConfig) -> OpenIncident | None:
    """Return the open incident that a service is nearest to, within the set number of calls; the older one on a tie."""
    graph = graph_of(state.topology)
    near = []
    for incident in state.incidents.values():
        steps = distance(graph, incident.members(), service, config.max_hops)
        if steps is not None:
            near.append((steps, incident.opened_wall, incident.id, incident))
    return min(near)[-1] if near else None


def join(state: CorrelateState, incident: OpenIncident, waiting: Waiting, config: CorrelateConfig) -> None:
    """Make a waiting anomaly a suspect; a new service or a new opener is worth telling at once."""
    anomaly = state.waiting.pop(waiting.anomaly.anomaly).anomaly
    evidence = anomaly.evidence
    opener = anomaly.opened_at <= incident.opened_at + config.opener_window_s * 1000
    new = evidence.service not in incident.members()
    incident.suspects[anomaly.anomaly] = Suspect(
        anomaly=anomaly.anomaly,
        reason=anomaly.reason,
        opened_at=anomaly.opened_at,
        open=True,
        opener=opener,
        evidence=evidence.model_copy(update={"peak_z": _larger(evidence.peak_z, evidence.z)}),
    )
    incident.heard[anomaly.anomaly] = state.listened
    incident.read_at[anomaly.anomaly] = anomaly.at
    incident.severity = max(incident.severity, severity_of(evidence, anomaly.reason, state.topology), key=lambda s: s.rank)
    incident.cite(waiting.source)
    for alert in state.alerts.values():
        if alert.firing and alert.severity is Severity.CRITICAL and alert.service == evidence.service:
            incident.severity = Severity.CRITICAL
    _bound(state, incident, config)
    if anomaly.anomaly not in incident.suspects:
        return  # too mild for a full incident: it comes back with each word, and nobody needs to hear that
    incident.dirty = incident.dirty or opener or new
    if new and incident.version and evidence.service not in incident.newcomers:
        incident.newcomers.append(evidence.service)


def gather(state: CorrelateState, incident: OpenIncident, config: CorrelateConfig) -> None:
    """Take in every waiting anomaly that is near enough, until none is: each newcomer may bring its own neighbours near."""
    graph = graph_of(state.topology)
    while True:
        around = incident.members()
        near = [w for w in state.waiting.values() if distance(graph, around, w.anomaly.evidence.service, config.max_hops) is not None]
        if not near:
            return
        for waiting in sorted(near, key=lambda w: (w.anomaly.opened_at, w.anomaly.anomaly)):
            join(state, incident, waiting, config)


def refresh(state: CorrelateState, incident: OpenIncident, signal: Anomaly, source: Position) -> None:
    """Take a suspect's newer word; what detect closed stays closed (a relapse is another anomaly)."""
    suspect = incident.suspects[signal.anomaly]
    newer = signal.at > incident.read_at[signal.anomaly]
    closes = signal.phase is Phase.CLOSED
    if closes:
        state.end(signal.anomaly)
    elif not newer:
        return
    incident.heard[signal.anomaly] = state.listened
    incident.see(signal.anomaly, lost=closes and signal.reason not in RECOVERED)
    incident.cite(source)
    evidence = renewed(suspect.evidence, signal.evidence) if newer else suspect.evidence
    incident.read_at[signal.anomaly] = max(signal.at, incident.read_at[signal.anomaly])
    incident.suspects[signal.anomaly] = suspect.model_copy(update={"open": not closes, "evidence": evidence})


def reread(state: CorrelateState, incident: OpenIncident, signal: Health, source: Position) -> None:
    """Renew the evidence of suspects from their series' health: it goes on after an anomaly has closed."""
    readings = {reading.series: reading for reading in signal.series if reading.kind is signal.kind}
    for key, suspect in incident.suspects.items():
        reading = readings.get(suspect.evidence.series)
        if reading is None or reading.metric != suspect.evidence.metric:
            continue
        if suspect.open and signal.anomalous:
            incident.heard[key] = state.listened
        if signal.at > incident.read_at[key]:
            incident.read_at[key] = signal.at
            incident.suspects[key] = suspect.model_copy(update={"evidence": renewed(suspect.evidence, reading)})
            incident.cite(source)


def is_quiet(state: CorrelateState, incident: OpenIncident) -> bool:
    """Tell whether nothing of an incident is open: no suspect, and none of the alerts that opened it."""
    firing = any(print_ in state.alerts and state.alerts[print_].firing for print_ in incident.opening_alerts)
    return not firing and not any(suspect.open for suspect in incident.suspects.values())


def let_go_of_stale(state: CorrelateState, incident: OpenIncident, config: CorrelateConfig) -> None:
    """Close suspects that nobody has mentioned for long, while others were heard: their series may be gone for good."""
    for key, suspect in list(incident.suspects.items()):
        if suspect.open and state.listened - incident.heard[key] >= config.stale_s * 1000:
            incident.see(key, lost=True)
            incident.suspects[key] = suspect.model_copy(update={"open": False})


def renewed(first: SeriesEvidence, now: SeriesEvidence) -> SeriesEvidence:
    """Take the newer value and points; keep the band of before the departure, against which recovery is measured, and what was usual."""
    peak = _larger(first.peak_z, now.peak_z, now.z)
    kept = {"baseline": first.baseline, "low": first.low, "high": first.high, "peak_z": peak, "usual": first.usual}
    return now.model_copy(update=kept)


def _larger(*scores: float) -> float:
    return max(scores, key=abs)


def _bound(state: CorrelateState, incident: OpenIncident, config: CorrelateConfig) -> None:
    """Drop the mildest above the cap: closed before open, those that joined later before openers.

    It is over only up to what was read of it: an open one's next word counts again. What detect closed has ended for good before.
    """
    while len(incident.suspects) > config.max_suspects:
        mildest = min(incident.suspects.values(), key=lambda s: (s.open, s.opener, departure(s.evidence), s.anomaly)).anomaly
        del incident.suspects[mildest], incident.heard[mildest]
        incident.see(mildest, lost=False)
        state.end(mildest, incident.read_at.pop(mildest))
        state.count("suspects")
