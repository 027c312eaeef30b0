"""What people are told of an incident's life."""

from __future__ import annotations

from collections.abc import Sequence

from models.correlation.state import OpenIncident
from schemas.base import derive_id
from schemas.incidents import Incident
from schemas.outcomes import Notice, NoticeKind

NAMED = 5  # of what was lost from sight
GROWN_EVERY_MS = 300_000  # between two words on who joined: a fault that spreads is one fault


def opened(record: Incident, at: int) -> Notice:
    return _notice(record, NoticeKind.INCIDENT_OPENED, f"affected: {', '.join(record.services)}", at)


def grown(record: Incident, newcomers: Sequence[str], at: int) -> Notice:
    """Say who joined an incident that goes on: it may be another fault, and nobody would hear of it."""
    names = ", ".join(newcomers[:NAMED]) + (f" and {len(newcomers) - NAMED} more" if len(newcomers) > NAMED else "")
    return _notice(record, NoticeKind.INCIDENT_GROWN, f"joined: {names}; affected: {', '.join(record.services)}", at)


def resolved(record: Incident, incident: OpenIncident, at: int) -> Notice:
    """Say why it is over: recovery only where recovery was seen."""
    text = f"{_end(incident)}; it lasted {(record.at - record.opened_at) // 1000} s"
    return _notice(record, NoticeKind.INCIDENT_RESOLVED, text, at)


def _end(incident: OpenIncident) -> str:
    lost = [*(_name(incident, anomaly) for anomaly in incident.unseen), *incident.unseen_alerts]
    if not lost:
        return "every suspect is back in its band" if incident.suspects else "the alerts that opened it have ended"
    names = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if len(lost) > NAMED else "")
    back = len(incident.suspects) - len(incident.unseen)
    return f"closed without a recovery seen: nothing more was heard of {names} ({back} of {len(incident.suspects)} suspects are back)"


def _name(incident: OpenIncident, anomaly: str) -> str:
    evidence = incident.suspects[anomaly].evidence
    return f"{evidence.service} {evidence.metric}"


def _notice(record: Incident, kind: NoticeKind, text: str, at: int) -> Notice:
    return Notice(
        id=derive_id("ntc", kind, record.incident, record.version),
        kind=kind,
        incident=record.incident,
        severity=record.severity,
        title=record.title,
        text=text,
        at=at,
    )
