"""Keep an incident's record below the topic's limit, whatever strangers put into labels: a record that is refused tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.base import canonical
from schemas.incidents import Incident
from schemas.signals import Alert

MAX_BYTES = 900_000  # of one record; the topic takes 1,048,588 with key and headers
TEXT_CHARS = 1_000  # of one label: enough to read, and an alert may have dozens

# What is given up first, and how many stay: evidence for people, then context for ranking, then what verification needs.
_ORDER = (("alerts", 0), ("health", 0), ("changes", 0), ("calls", 0), ("nodes", 0), ("sources", 0), ("suspects", 1), ("services", 1))
_OLDEST_FIRST = frozenset({"changes", "sources"})  # in the record; the others stand with the most important first


def trim(alert: Alert) -> Alert:
    """Cut the texts of an alert that anybody may write."""
    if max((len(text) for text in (alert.summary, *alert.labels.values())), default=0) <= TEXT_CHARS:
        return alert
    labels = {name: value[:TEXT_CHARS] for name, value in alert.labels.items()}
    return alert.model_copy(update={"labels": labels, "summary": alert.summary[:TEXT_CHARS]})


def fit(record: Incident, limit: int = MAX_BYTES) -> tuple[Incident, dict[str, int]]:
    """Return the record in at most `limit` canonical bytes, and how many of which field it had to leave out."""
    excess = len(canonical(record)) - limit
    dropped: dict[str, int] = {}
    for name, least in _ORDER:
        if excess <= 0:
            break
        items: tuple[Any, ...] = getattr(record, name)
        backwards = items[::-1] if name not in _OLDEST_FIRST else items
        count, freed = _spare(backwards[: len(items) - least], excess)
        if count:
            kept = items[count:] if name in _OLDEST_FIRST else items[: len(items) - count]
            record = record.model_copy(update={name: kept})
            dropped[name] = count
            excess -= freed
    return record, dropped


def _spare(items: Sequence[Any], excess: int) -> tuple[int, int]:
    """Return how many of these, from the first, make room for so many bytes, and the bytes."""
    freed = 0
    for count, item in enumerate(items, 1):
        freed += len(canonical(item))
        if freed >= excess:
            return count, freed
    return len(items), freed
