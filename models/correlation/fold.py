"""Fold signals into incidents: `take` folds one signal, `pass_time` opens, flushes and resolves."""

from __future__ import annotations

from dataclasses import dataclass

from models.correlation import members, notices
from models.correlation.changes import follow
from models.correlation.evidence import cut, picture
from models.correlation.size import fit, trim
from models.correlation.state import CorrelateState, OpenIncident, Waiting
from schemas.base import Position, derive_id
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Severity
from schemas.outcomes import Notice
from schemas.signals import Alert, Anomaly, AnomalyReason, Change, Health, Phase, Signal, Tick, Topology


@dataclass(frozen=True, slots=True)
class Decided:
    """What one signal brought about, in order."""

    incidents: tuple[Incident, ...] = ()
    notices: tuple[Notice, ...] = ()


def take(state: CorrelateState, signal: Signal, *, source: Position, now: int, config: CorrelateConfig) -> Decided:
    """Fold one signal; `now` is its append time in ms. Changes `state`; the same state and signal decide the same."""
    state.clock = max(state.clock, now)
    match signal:
        case Tick():
            return pass_time(state, config)
        case Anomaly():
            _anomaly(state, signal, source, config)
        case Health():
            _health(state, signal, source, config)
        case Alert():
            _alert(state, signal, source, config)
        case Change():
            follow(state, signal)
            state.bound("changes", state.changes, config.max_tracked, lambda change: change.at)
        case Topology():
            _topology(state, signal)
    return Decided()


def pass_time(state: CorrelateState, config: CorrelateConfig) -> Decided:
    """Open what has waited long enough, flush what is due, resolve what has been quiet."""
    incidents: list[Incident] = []
    told: list[Notice] = []
    horizon = state.event_clock - config.changes_window_s * 1000
    state.changes = {key: change for key, change in state.changes.items() if change.at >= horizon}
    state.alerts = {key: alert for key, alert in state.alerts.items() if alert.firing or alert.last >= horizon}
    _expire_alerts(state, config)
    born = _open(state, config)
    for incident in list(state.incidents.values()):
        members.let_go_of_stale(state, incident, config)
        if members.is_quiet(state, incident):
            incident.quiet_since = state.clock if incident.quiet_since is None else incident.quiet_since
        else:
            incident.quiet_since = None
        if incident.id in born:
            phase = IncidentPhase.OPENED
        elif incident.quiet_since is not None and state.clock - incident.quiet_since >= config.quiet_s * 1000:
            phase = IncidentPhase.RESOLVED
        elif incident.dirty or state.clock >= incident.next_flush:
            phase = IncidentPhase.UPDATED
        else:
            continue
        record = _write(state, incident, phase, config)
        incidents.append(record)
        if phase is IncidentPhase.OPENED:
            told.append(notices.opened(record, state.clock))
            incident.told_at = state.clock
        elif phase is IncidentPhase.RESOLVED:
            told.append(notices.resolved(record, incident, state.clock))
            for anomaly, heard in incident.read_at.items():
                state.end(anomaly, heard)
            del state.incidents[incident.id]
        elif incident.newcomers and state.clock - incident.told_at >= notices.GROWN_EVERY_MS:
            told.append(notices.grown(record, incident.newcomers, state.clock))
            incident.newcomers, incident.told_at = [], state.clock
    return Decided(tuple(incidents), tuple(told))


def _expire_alerts(state: CorrelateState, config: CorrelateConfig) -> None:
    """Give up alerts that still fire by their last word and were not repeated for too long: some senders never say resolved."""
    for key, alert in list(state.alerts.items()):
        if alert.firing and state.clock - alert.last >= config.alert_expiry_s * 1000:
            del state.alerts[key]
            state.count("alerts_expired")
            for incident in state.incidents.values():
                if key in incident.opening_alerts:
                    incident.unseen_alerts.append(f"alert {alert.name}")


def _open(state: CorrelateState, config: CorrelateConfig) -> set[str]:
    """Open incidents for anomalies and alerts that belong to none; return the new ones' ids."""
    born: set[str] = set()
    ripe = [w for w in state.waiting.values() if state.clock - w.since >= config.open_hold_s * 1000]
    for waiting in sorted(ripe, key=lambda w: (w.anomaly.opened_at, w.anomaly.anomaly)):
        if waiting.anomaly.anomaly not in state.waiting:
            continue  # a neighbour's incident took it in
        incident = members.nearest(state, waiting.anomaly.evidence.service, config)  # a newer topology may have brought it near
        if incident is None:
            incident = _new_incident(state, waiting.anomaly.anomaly, waiting.anomaly.opened_at, config)
            if incident is None:
                break
            born.add(incident.id)
        members.join(state, incident, waiting, config)
        members.gather(state, incident, config)
    if config.alerts_open:
        for alert in sorted(state.alerts.values(), key=lambda a: (a.first, a.fingerprint)):
            if alert.firing and alert.severity is Severity.CRITICAL and members.nearest(state, alert.service, config) is None:
                incident = _new_incident(state, alert.fingerprint, alert.first, config)
                if incident is None:
                    break
                born.add(incident.id)
                incident.opening_alerts.append(alert.fingerprint)
                incident.alert_services.append(alert.service)
                incident.severity = Severity.CRITICAL
                incident.cite(alert.source)
                members.gather(state, incident, config)
    return born


def _new_incident(state: CorrelateState, opener: str, opened_at: int, config: CorrelateConfig) -> OpenIncident | None:
    """Begin an incident; None at the cap: what waits keeps waiting, counted.

    The time it opens is part of its id: what fell silent, was let go and is told again makes another incident.
    """
    if len(state.incidents) >= config.max_incidents:
        state.count("incidents_refused")
        return None
    incident = OpenIncident(
        id=derive_id("inc", opener, state.clock),
        opened_at=opened_at,
        opened_wall=state.clock,
        next_flush=state.clock + int(config.flush_s * 1000),
        severity=Severity.WARNING,
    )
    state.incidents[incident.id] = incident
    return incident


def _write(state: CorrelateState, incident: OpenIncident, phase: IncidentPhase, config: CorrelateConfig) -> Incident:
    incident.version += 1
    while incident.next_flush <= state.clock:
        incident.next_flush += int(config.flush_s * 1000)
    record, dropped = fit(picture(state, incident, phase, config))
    for name, entries in dropped.items():
        state.count(f"record_{name}", entries)
    incident.dirty = False
    incident.sources = []
    return record


def _anomaly(state: CorrelateState, signal: Anomaly, source: Position, config: CorrelateConfig) -> None:
    state.hear(signal.at)
    if signal.at <= state.ended.get(signal.anomaly, -1):
        return
    for incident in state.incidents.values():
        if signal.anomaly in incident.suspects:
            members.refresh(state, incident, signal, source)
            return
    if signal.phase is Phase.CLOSED:
        state.waiting.pop(signal.anomaly, None)
        state.end(signal.anomaly)
        return
    if signal.evidence.kind not in config.opens or (signal.reason is AnomalyReason.SILENCE and not config.silence_opens):
        return
    before = state.waiting.get(signal.anomaly)
    if before is None:
        before = Waiting(signal, state.clock, source)
        state.waiting[signal.anomaly] = before
        state.bound("waiting", state.waiting, config.max_tracked, lambda waiting: waiting.since)
    elif signal.at > before.anomaly.at:
        before.anomaly = signal
    near = members.nearest(state, signal.evidence.service, config)
    if near is not None and signal.anomaly in state.waiting:
        members.join(state, near, before, config)
        members.gather(state, near, config)  # it may bring near what waits: not only once that is told again


def _health(state: CorrelateState, signal: Health, source: Position, config: CorrelateConfig) -> None:
    state.hear(signal.at)
    kinds = state.health.setdefault(signal.service, {})
    known = kinds.get(signal.kind)
    if known is not None and known.at >= signal.at:
        return
    kinds[signal.kind] = signal.model_copy(update={"series": tuple(cut(reading, config.max_points) for reading in signal.series)})
    state.bound("health", state.health, config.max_services, lambda kinds: max(health.at for health in kinds.values()))
    for incident in state.incidents.values():
        members.reread(state, incident, signal, source)


def _alert(state: CorrelateState, signal: Alert, source: Position, config: CorrelateConfig) -> None:
    known = state.alerts.get(signal.fingerprint)
    if known is not None and (known.last, known.count, not known.firing) >= (signal.last, signal.count, not signal.firing):
        return
    state.alerts[signal.fingerprint] = trim(signal)
    state.bound("alerts", state.alerts, config.max_tracked, lambda alert: alert.last)
    near = members.nearest(state, signal.service, config)
    if near is not None:
        near.cite(source)
    if signal.firing and signal.severity is Severity.CRITICAL:
        for incident in state.incidents.values():
            if incident.severity is not Severity.CRITICAL and signal.service in incident.members():
                incident.severity, incident.dirty = Severity.CRITICAL, True


def _topology(state: CorrelateState, signal: Topology) -> None:
    """Take a new file; changes that came after it still hold. The same file told again is no news."""
    if signal.digest == state.topology_digest or (state.topology is not None and signal.at < state.topology.at):
        return
    state.topology, state.topology_digest = signal, signal.digest
    for change in sorted(state.changes.values(), key=lambda change: (change.at, change.id)):
        if change.at > signal.at:
            follow(state, change)
