"""What normalise counts."""

from __future__ import annotations

from collections import Counter as Counted

from prometheus_client import Counter, Gauge, Histogram

from schemas.topics import ALERTS, SIGNALS
from schemas.topics import SERIES as SERIES_TOPIC
from streams.normalise.core import Core, Taken
from streams.normalise.fates import Fate

# Topics are those that the settings name: so many and no more.
RECEIVED = Counter("airra_normalise_received_records_total", "raw records read; what is read again counts again", ["topic"])
SOURCE_RECORDS = Counter("airra_normalise_source_records_total", "raw records by source topic and their one fate", ["topic", "fate"])
SOURCE_SAMPLES = Counter("airra_normalise_source_samples_total", "samples by source topic and their one fate", ["topic", "fate"])
LAG = Gauge("airra_normalise_lag_records", "raw records appended and not yet read, as of the newest fetch", ["topic"])
BATCH_RECORDS = Histogram(
    "airra_normalise_batch_records", "raw records that are decoded together", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 20_000)
)
RECORDS = Counter("airra_normalise_records_total", "raw records by their one fate", ["format", "fate"])
SAMPLES = Counter("airra_normalise_samples_total", "samples of records of metrics, by their one fate", ["format", "fate"])
DEAD_LETTERS = Counter("airra_normalise_dead_letters_total", "raw records dead-lettered, by reason", ["format", "reason"])
UNMAPPED = Counter("airra_normalise_unmapped_total", "sound samples of metrics that no rule of the mapping names")
REPEATED = Counter("airra_normalise_repeated_records_total", "raw records read again within a move of partitions, and skipped")
ALERT_EVENTS = Counter("airra_normalise_alert_events_total", "alert events forwarded")
CHANGES = Counter("airra_normalise_changes_total", "change events forwarded")
SERIES = Counter("airra_normalise_series_announced_total", "series definitions written")
EVICTED = Counter("airra_normalise_cache_evictions_total", "entries forgotten for want of room", ["table"])
UNTOLD = Counter("airra_normalise_untold_metrics_total", "label texts of unmapped metrics beyond the number that the doctor is told of")
HISTORICAL = Counter("airra_normalise_historical_records_total", "raw records that their producer marked as a backfill", ["format"])
CACHED = Gauge("airra_normalise_cached_series", "label texts remembered")
HELD = Gauge("airra_normalise_held_partitions", "raw partitions that wait for a schema of a registry that is away")
MISSING_TOPICS = Gauge("airra_normalise_missing_topics", "raw topics that the settings name and the broker has not", ["lane"])


def count(form: str, topic: str, taken: Taken) -> None:
    """Count each record taken exactly once, by its format and by its source."""
    fates = {
        Fate.ACCEPTED: taken.accepted,
        Fate.UNMAPPED: taken.unmapped,
        Fate.EMPTY: taken.empty,
        Fate.DEAD_LETTER: len(taken.refused),
    }
    for fate, times in fates.items():
        RECORDS.labels(form, fate).inc(times)
        SOURCE_RECORDS.labels(topic, fate).inc(times)
    for (name, kind), times in taken.samples.items():
        SAMPLES.labels(name, kind).inc(times)
        SOURCE_SAMPLES.labels(topic, kind).inc(times)
    UNMAPPED.inc(taken.unmapped)
    for reason, times in Counted(taken.refused).items():
        DEAD_LETTERS.labels(form, reason).inc(times)
    by_topic = Counted(output.topic for output in (*taken.definitions, *taken.others))
    SERIES.inc(by_topic[SERIES_TOPIC.name])
    ALERT_EVENTS.inc(by_topic[ALERTS.name])
    CHANGES.inc(by_topic[SIGNALS.name])


def count_cache(core: Core) -> None:
    """Bring the caches' own counts up to date."""
    for name, counter, total in (
        ("series", EVICTED.labels("series"), core.cache.evicted),
        ("timestamps", EVICTED.labels("timestamps"), core.samples.times_evicted),
        ("names", EVICTED.labels("names"), core.resolver.forgotten),
        ("unknown", UNTOLD, core.unknown.untold),
    ):
        counter.inc(total - core.counted.get(name, 0))
        core.counted[name] = total
