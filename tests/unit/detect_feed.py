"""A hand-written log of samples for the tests of detect: definitions, rows of source partitions, ticks; and what detect says to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from models.detection.admit_kernel import Came, lead_of, moved, note, watermark
from models.detection.close import Told
from models.detection.fold import Detector
from models.detection.sources import Sources
from models.detection.state import DetectState, restore
from schemas.base import canonical
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import (
    BATCH_HEADER,
    BatchSource,
    Heartbeat,
    SampleBatch,
    SeriesDef,
    encode_batches,
    encode_heartbeat,
    encode_series,
    headers,
    series_id,
)
from schemas.signals import SIGNALS, Anomaly, Health, Phase, Tick
from schemas.topics import SAMPLES
from streams import detect
from streams.detect import stage
from streams.harness.emit import parse
from streams.harness.stage import Output, Record

T0 = 1_795_489_200_000
CONFIG = DetectConfig.model_validate(yaml.safe_load((Path(__file__).parents[2] / "config/detect.yaml").read_text()))

Row = tuple[SeriesDef, int, float]


def series(
    service: str,
    kind: Kind,
    kind_type: MetricType = MetricType.GAUGE,
    *,
    metric: str = "",
    unit: str = "",
    instance: str = "i:1",
    direction: Direction = Direction.UP,
    label: str = "",
) -> SeriesDef:
    metric = metric or f"{kind.value}_metric"
    own = series_id({"__name__": metric, "service": service, "instance": instance, "label": label})
    return SeriesDef(own, service, instance, metric, kind, kind_type, unit, direction, own)


def counter(service: str, kind: Kind, **named: str) -> SeriesDef:
    return series(service, kind, MetricType.COUNTER, **named)


def histogram(service: str, bounds: Iterable[float | None], *, kind: Kind = Kind.LATENCY, instance: str = "i:1") -> list[SeriesDef]:
    """Buckets in the order of the bounds; None is +Inf."""
    metric = "http_request_duration_seconds"
    group = series_id({"__name__": metric, "service": service, "instance": instance})
    return [
        SeriesDef(
            series_id({"__name__": f"{metric}_bucket", "service": service, "instance": instance, "le": str(bound)}),
            service, instance, metric, kind, MetricType.HISTOGRAM, "seconds", Direction.UP, group, "bucket", bound,
        )
        for bound in bounds
    ]  # fmt: skip


def batch_of(rows: Sequence[tuple[SeriesDef, int, float, int]]) -> SampleBatch:
    """Return rows of series, time in ms, value, offset as columns."""
    return SampleBatch(
        np.array([row[0].id for row in rows], np.uint64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.int64),
    )


class Log:
    """Records of one partition of the samples topic, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._offsets: dict[int, int] = {}

    def define(self, *definitions: SeriesDef) -> Log:
        return self._append(encode_series(list(definitions)), headers("series"), 0)

    def rows(self, rows: Iterable[Row], partition: int = 0, now: int | None = None) -> Log:
        """Append one batch whose rows have the next offsets of their source partition."""
        rows = list(rows)
        first = self._offsets.get(partition, 0)
        self._offsets[partition] = first + len(rows)
        return self.batch([(*row, first + i) for i, row in enumerate(rows)], partition, now)

    def batch(
        self, rows: list[tuple[SeriesDef, int, float, int]], partition: int = 0, now: int | None = None, topic: str = "metrics"
    ) -> Log:
        source = BatchSource(topic, partition, rows[0][3], rows[-1][3])
        return self.several([(source, batch_of(rows))], max(row[1] for row in rows) if now is None else now)

    def several(self, parts: Sequence[tuple[BatchSource, SampleBatch]], now: int) -> Log:
        """Append one record with batches of these sources."""
        value, header = encode_batches(parts)
        return self._append(value, (*headers("samples"), (BATCH_HEADER, header)), now)

    def heartbeat(self, at: int, partition: int = 0, now: int | None = None) -> Log:
        """Append the word that a source partition has come so far, with a record that has no row here."""
        offset = self._offsets.get(partition, 0)
        self._offsets[partition] = offset + 1
        return self._append(encode_heartbeat(Heartbeat("metrics", partition, offset, at)), headers("heartbeat"), at if now is None else now)

    def tick(self, at: int) -> Log:
        return self._append(canonical(Tick(at=at)), headers("tick"), at)

    def _append(self, value: bytes, head: tuple[tuple[str, bytes], ...], now: int) -> Log:
        self.records.append(Record(SAMPLES.name, 0, len(self.records), now, None, value, head))
        return self


def fold(log: Log, config: DetectConfig = CONFIG) -> DetectState:
    """Return the state after these records."""
    one = stage(config)
    state = one.restore(None)
    for record in log.records:
        one.apply(state, record, record.timestamp)
    return state


def tolds(records: Iterable[Record], config: DetectConfig = CONFIG, state: DetectState | None = None) -> Iterator[Told]:
    """Fold records one by one; yield what each brought about."""
    state = restore(None, config) if state is None else state
    for record in records:
        yield detect._read(record, record.timestamp)(Detector(state, config))


def outputs(records: Iterable[Record], config: DetectConfig = CONFIG) -> list[Output]:
    one = stage(config)
    state = one.restore(None)
    return [output for record in records for output in one.apply(state, record, record.timestamp)]


def read(found: Iterable[Output]) -> list[Anomaly | Health]:
    signals = [parse(SIGNALS, Record(output.topic, 0, 0, 0, output.key, output.value)) for output in found]
    return [signal for signal in signals if isinstance(signal, Anomaly | Health)]


def signals(log: Log, config: DetectConfig = CONFIG) -> list[Anomaly | Health]:
    return read(outputs(log.records, config))


def anomalies(log: Log, config: DetectConfig = CONFIG) -> list[Anomaly]:
    return [signal for signal in signals(log, config) if isinstance(signal, Anomaly)]


def phases(log: Log, phase: Phase, config: DetectConfig = CONFIG) -> list[Anomaly]:
    return [anomaly for anomaly in anomalies(log, config) if anomaly.phase is phase]


def each_second(seconds: int, one: Callable[[int], Iterable[tuple[SeriesDef, float]]], *definitions: SeriesDef, start: int = 0) -> Log:
    """Scrape once a second: the rows of second i are those that `one(i)` gives."""
    log = Log().define(*definitions)
    for i in range(start, start + seconds):
        rows = [(definition, T0 + 1000 * i + 300, value) for definition, value in one(i)]
        if rows:
            log.rows(rows)
    return log


def come(sources: Sources, number: int, times: Iterable[int]) -> list[int]:
    """Let rows of these times come from one source; return the watermark after each."""
    sources.table["fed"][number] = True
    marks = []
    for at in times:
        lead = lead_of(sources.table, number, sources.times(0))
        came = Came(moved(lead.newest, at, False, lead.alone, 0), at, at, sound=True)
        note(sources.table[number], came)
        marks.append(watermark(came.newest, lead))
    return marks
