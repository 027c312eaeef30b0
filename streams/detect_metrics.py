"""What detect counts. Every count is by record or by batch: a row costs nothing here."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from prometheus_client import Counter, Gauge, Histogram

from models.detection.close import Told
from models.detection.state import DetectState
from schemas.config.detect import DetectConfig
from schemas.signals import Anomaly

OTHER = "other"  # in place of a source topic that the settings do not name: any number may have been written

RECEIVED = Counter("airra_detect_received_rows_total", "rows read, whatever becomes of them, by source topic", ["topic"])
BATCH_ROWS = Histogram(
    "airra_detect_batch_rows", "rows that are folded together", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
)
ROWS = Counter("airra_detect_rows_total", "rows by their one fate; those that wait for their window have none yet", ["fate"])
DEFINITIONS = Counter("airra_detect_definitions_total", "definitions of series by their one fate, repeated ones too", ["fate"])
ANOMALIES = Counter("airra_detect_anomalies_total", "anomaly records by phase, reason and kind", ["phase", "reason", "kind"])
HEALTH = Counter("airra_detect_health_total", "health records")
EVICTED = Counter("airra_detect_evicted_series_total", "series given up for want of room")
SERIES = Gauge("airra_detect_series", "raw series known", ["partition"])
STATE_ROWS = Gauge("airra_detect_state_rows", "rows in use of each table of the state", ["partition", "table"])
PENDING = Gauge("airra_detect_pending_rows", "rows whose window is open", ["partition"])
EVICTED_SOURCES = Counter("airra_detect_evicted_sources_total", "source partitions whose mark was given up for want of room")
RESTARTED_SOURCES = Counter("airra_detect_restarted_sources_total", "raw topics that began anew under the same name")
SOURCES = Gauge("airra_detect_sources", "source partitions known", ["partition"])
LAGGING = Gauge("airra_detect_lagging_sources", "source partitions too far behind the others to be waited for", ["partition"])
AHEAD = Gauge("airra_detect_ahead_sources", "source partitions whose clock is wrong: their rows count at the others' time", ["partition"])
IDLE = Gauge("airra_detect_idle_sources", "source partitions that send nothing", ["partition"])
WATERMARK = Gauge("airra_detect_watermark_seconds", "event time up to which windows are closed", ["partition"])


def measure(state: DetectState, partition: int, told: Told, config: DetectConfig, topics: AbstractSet[str]) -> None:
    """Count what one record brought about, and say how large the state is now. `topics` are the sources that have a name here."""
    _count(told, topics)
    _size(state, partition)
    SOURCES.labels(partition).set(len(state.sources.all))
    LAGGING.labels(partition).set(state.sources.lagging)
    AHEAD.labels(partition).set(state.sources.ahead)
    IDLE.labels(partition).set(state.sources.idle)
    if state.closed is not None:
        WATERMARK.labels(partition).set(state.closed * config.window_s)


def _count(told: Told, topics: AbstractSet[str]) -> None:
    if told.received:
        RECEIVED.labels(told.source if told.source in topics else OTHER).inc(told.received)
        BATCH_ROWS.observe(told.received)
    for fate, count in told.fates.items():
        if count:
            ROWS.labels(fate).inc(count)
    for end, count in told.definitions.items():
        DEFINITIONS.labels(end).inc(count)
    for one in told.signals:
        if isinstance(one, Anomaly):
            ANOMALIES.labels(one.phase, one.reason, one.evidence.kind).inc()
        else:
            HEALTH.inc()
    EVICTED.inc(told.evicted)
    EVICTED_SOURCES.inc(told.evicted_sources)
    RESTARTED_SOURCES.inc(told.restarted_sources)


def _size(state: DetectState, partition: int) -> None:
    registry, pending = state.registry, len(state.waiting)
    SERIES.labels(partition).set(registry.raws.count)
    PENDING.labels(partition).set(pending)
    for table, rows in (
        ("series", registry.raws.count),
        ("dormant", len(registry.asleep)),
        ("units", registry.units.count),
        ("histograms", registry.hists.count),
        ("instances", registry.insts.count),
        ("slots", registry.slots.count),
        ("sources", len(state.sources.all)),
        ("pending", pending),
    ):
        STATE_ROWS.labels(partition, table).set(rows)
