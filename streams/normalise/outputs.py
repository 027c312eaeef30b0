"""What normalise appends: columnar batches by destination partition, and each series' definition before its first row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from schemas.alerts import AlertEvent
from schemas.samples import BATCH_HEADER, TYPE_HEADER, BatchSource, SampleBatch, SeriesDef, encode_batch, encode_series, encode_source
from schemas.signals import Change
from schemas.topics import ALERTS, SAMPLES, SERIES, SIGNALS
from streams.harness.emit import emit
from streams.harness.stage import Headers, Output
from streams.normalise.cache import SeriesCache
from streams.normalise.partitioner import partition_of
from streams.normalise.prometheus_kafka_adapter import Decoded

SERIES_RECORD_BYTES = 262_144  # definitions in one record, well below the topic's limit however long the labels
UNKNOWN_METRICS = 5_000  # metric names that no rule names and the doctor is told of, in this process's life

_SERIES_HEADERS: Headers = ((TYPE_HEADER, b"series"),)


def sample_outputs(topic: str, partition: int, decoded: Decoded, cache: SeriesCache) -> Iterator[Output]:
    """Yield the records of one decoded batch; marks what it announces, so every record must be acknowledged or the process end."""
    destinations = cache.partition[decoded.slots]
    batch = decoded.batch
    for destination in np.unique(destinations).tolist():
        rows = np.flatnonzero(destinations == destination)
        slots = decoded.slots[rows]
        new = np.unique(slots[~cache.announced[slots]])
        if len(new):
            yield from _announce([found for slot in new.tolist() if isinstance(found := cache.meaning(slot), SeriesDef)], destination)
            cache.announced[new] = True
        part = SampleBatch(batch.series[rows], batch.time[rows], batch.value[rows], batch.offset[rows])
        source = BatchSource(topic, partition, int(part.offset[0]), int(part.offset[-1]))
        headers = ((TYPE_HEADER, b"samples"), (BATCH_HEADER, encode_source(source)))
        yield Output(SAMPLES.name, None, encode_batch(part), headers, destination)


class UnknownMetrics:
    """Metric names already told of; the doctor reads their definitions from the series topic."""

    def __init__(self, limit: int = UNKNOWN_METRICS) -> None:
        self._limit = limit
        self._told: set[int] = set()

    def outputs(self, definitions: Iterable[SeriesDef]) -> Iterator[Output]:
        for found in definitions:
            if found.id not in self._told and len(self._told) < self._limit:
                self._told.add(found.id)
                yield _definition(found)


def alert_outputs(events: Iterable[AlertEvent], partitions: int) -> Iterator[Output]:
    """Yield one record an alert, to the partition of its fingerprint: all repeats meet in one fold."""
    for event in events:
        found = emit(ALERTS, event.fingerprint, event)
        yield Output(found.topic, found.key, found.value, found.headers, partition_of(event.fingerprint, partitions))


def change_output(change: Change) -> Output:
    return emit(SIGNALS, change.service, change, change.source)


def _announce(definitions: list[SeriesDef], destination: int) -> Iterator[Output]:
    """Yield the definitions for the partition that is about to see them, in pieces, and one by one for the compacted topic."""
    piece: list[SeriesDef] = []
    size = 0
    for found in definitions:
        told = _definition(found)
        yield told
        if piece and size + len(told.value) > SERIES_RECORD_BYTES:
            yield Output(SAMPLES.name, None, encode_series(piece), _SERIES_HEADERS, destination)
            piece, size = [], 0
        piece.append(found)
        size += len(told.value)
    yield Output(SAMPLES.name, None, encode_series(piece), _SERIES_HEADERS, destination)


def _definition(found: SeriesDef) -> Output:
    return Output(SERIES.name, f"{found.id:016x}".encode(), encode_series([found]), _SERIES_HEADERS)
