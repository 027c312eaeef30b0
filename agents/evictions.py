"""What a fold gave up at its caps, on the metric of whoever runs it."""

from __future__ import annotations

from prometheus_client import Counter

from models.evicted import Evicting, drained


def count_evicted(counter: Counter, *folds: Evicting, of: tuple[str, ...] = ()) -> None:
    """Count by table what these folds gave up since the last call; `of` are the labels before `table`."""
    for fold in folds:
        for table, entries in drained(fold).items():
            counter.labels(*of, table).inc(entries)
