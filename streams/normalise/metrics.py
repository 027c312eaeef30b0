"""What normalise counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter("airra_normalise_records_total", "raw records by their one fate", ["format", "fate"])
DEAD_LETTERS = Counter("airra_normalise_dead_letters_total", "raw records dead-lettered, by reason", ["format", "reason"])
UNMAPPED = Counter("airra_normalise_unmapped_total", "sound samples of metrics that no rule of the mapping names")
REPEATED = Counter("airra_normalise_repeated_records_total", "raw records read again within a move of partitions, and skipped")
ALERT_EVENTS = Counter("airra_normalise_alert_events_total", "alert events forwarded")
CHANGES = Counter("airra_normalise_changes_total", "change events forwarded")
SERIES = Counter("airra_normalise_series_announced_total", "series definitions written")
EVICTED = Counter("airra_normalise_cache_evictions_total", "entries forgotten for want of room", ["cache"])
CACHED = Gauge("airra_normalise_cached_series", "label texts remembered")
BYTES = Counter("airra_normalise_read_bytes_total", "bytes of raw records")
MISSING_TOPICS = Gauge("airra_normalise_missing_topics", "raw topics that the settings name and the broker has not")
