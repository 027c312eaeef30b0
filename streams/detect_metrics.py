"""What detect counts. Every count is by record or by batch: a row costs nothing here; and how large the state is, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from threading import Lock
from typing import Any
from weakref import ref

from prometheus_client import REGISTRY, Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.detection.close import Told
from models.detection.state import DetectState
from schemas.signals import Anomaly

OTHER = "other"  # in place of a source that the settings do not name: any number may have been written

RECEIVED = Counter("airra_detect_received_rows_total", "rows read, whatever becomes of them, by source topic", ["topic"])
BATCH_ROWS = Histogram(
    "airra_detect_batch_rows", "rows that are folded together", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
)
ROWS = Counter("airra_detect_rows_total", "rows by their one fate; those that wait for their window have none yet", ["topic", "fate"])
DEFINITIONS = Counter("airra_detect_definitions_total", "definitions of series by their one fate, repeated ones too", ["source", "fate"])
ANOMALIES = Counter("airra_detect_anomalies_total", "anomaly records by phase, reason and kind", ["phase", "reason", "kind"])
HEALTH = Counter("airra_detect_health_total", "health records")
EVICTED = Counter("airra_detect_evicted_series_total", "series given up for want of room")
EVICTED_SOURCES = Counter("airra_detect_evicted_sources_total", "source partitions whose mark was given up for want of room")
EVICTED_LEAKS = Counter("airra_detect_evicted_leaks_total", "metrics not looked at for slow leaks for want of room")
RESTARTED_SOURCES = Counter("airra_detect_restarted_sources_total", "raw topics that began anew under the same name")

_labelled = cache(lambda counter, *names: counter.labels(*names))  # sources that are named, and fates: few


class States(Collector):
    """How large the state of each partition is, at the moment of asking; nothing of a partition that has moved away."""

    def __init__(self) -> None:
        self._shown: dict[int, ref[DetectState]] = {}  # a WeakValueDictionary may change while another thread reads it, lock or not
        self._lock = Lock()

    def show(self, partition: int, state: DetectState) -> None:
        with self._lock:
            self._shown[partition] = ref(state)

    def collect(self) -> Iterator[Metric]:
        def gauge(name: str, text: str, *labels: str) -> Any:
            return GaugeMetricFamily(f"airra_detect_{name}", text, labels=["partition", *labels])

        series, tables = gauge("series", "raw series known"), gauge("state_rows", "rows in use of each table of the state", "table")
        pending, sources = gauge("pending_rows", "rows whose window is open"), gauge("sources", "source partitions known")
        lagging = gauge("lagging_sources", "source partitions too far behind the others to be waited for")
        ahead = gauge("ahead_sources", "source partitions whose clock is wrong: their rows count at the others' time")
        idle = gauge("idle_sources", "source partitions that send nothing")
        watermark = gauge("watermark_seconds", "event time up to which windows are closed")
        with self._lock:
            shown = dict(self._shown)
        for partition, kept in sorted(shown.items()):
            state = kept()
            if state is None:
                continue
            own = [str(partition)]
            for table, rows in _tables(state).items():
                tables.add_metric([*own, table], rows)
            for family, value in (
                (series, state.registry.raws.count), (pending, len(state.waiting)), (sources, len(state.sources.numbers)),
                (lagging, state.sources.lagging), (ahead, state.sources.ahead), (idle, state.sources.idle),
            ):  # fmt: skip
                family.add_metric(own, value)
            if state.closed is not None:
                watermark.add_metric(own, state.closed * state.registry.config.window_s)
        yield from (series, tables, pending, sources, lagging, ahead, idle, watermark)


STATES = States()
REGISTRY.register(STATES)


def measure(state: DetectState, partition: int, told: Told, named: AbstractSet[str]) -> None:
    """Count what one record brought about. `named`: topics and writers that have a name here."""
    STATES.show(partition, state)
    for topic, rows in told.received.items():
        _labelled(RECEIVED, topic if topic in named else OTHER).inc(rows)
    if told.received:
        BATCH_ROWS.observe(told.received.total())
    for counts, counter in ((told.rows, ROWS), (told.defined, DEFINITIONS)):
        for (source, fate), count in counts.items():
            _labelled(counter, source if source in named else OTHER, fate).inc(count)
    anomalies = [one for one in told.signals if isinstance(one, Anomaly)]
    for one in anomalies:
        ANOMALIES.labels(one.phase, one.reason, one.evidence.kind).inc()
    if len(told.signals) > len(anomalies):
        HEALTH.inc(len(told.signals) - len(anomalies))
    for evicted, counted in (
        (told.evicted, EVICTED),
        (told.evicted_sources, EVICTED_SOURCES),
        (told.evicted_leaks, EVICTED_LEAKS),
        (told.restarted_sources, RESTARTED_SOURCES),
    ):
        if evicted:
            counted.inc(evicted)


def _tables(state: DetectState) -> dict[str, int]:
    registry = state.registry
    return {
        "series": registry.raws.count,
        "dormant": len(registry.asleep),
        "units": registry.units.count,
        "histograms": registry.hists.count,
        "instances": registry.insts.count,
        "slots": registry.slots.count,
        "services": registry.pasts.count,
        "sources": len(state.sources.numbers),
        "pending": len(state.waiting),
    }
