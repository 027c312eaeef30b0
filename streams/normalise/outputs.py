"""What normalise appends: columnar batches by destination partition, each series' definition before its first row, heartbeats.

A definition is told to the samples topic again every few minutes while its series has rows: the one before may have been deleted by
retention before detect read it, or detect may have given the series up for want of room. That is some 350 bytes a series each time,
about 2 bytes a series and second; a sample a second costs 33.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from schemas.alerts import AlertEvent
from schemas.base import SCHEMA
from schemas.samples import (
    BATCH_HEADER,
    TYPE_HEADER,
    BatchSource,
    Heartbeat,
    SampleBatch,
    SeriesDef,
    encode_batches,
    encode_heartbeat,
    encode_series,
)
from schemas.signals import Change
from schemas.topics import ALERTS, SAMPLES, SERIES, SIGNALS
from streams.harness.emit import emit
from streams.harness.stage import Headers, Output
from streams.normalise.cache import SeriesCache
from streams.normalise.formats.harvest import MAX_ITEMS
from streams.normalise.partitioner import partition_of
from streams.normalise.rows import Decoded

SERIES_RECORD_BYTES = 262_144  # definitions in one record, well below the topic's limit however long the labels
AGAIN_MS = 300_000  # within so long a definition is told again, at the earliest after half of it, spread by id
BATCH_ROWS = MAX_ITEMS  # of 33 bytes: below the topic's limit, and no record has more
BATCH_SOURCES = 1_000  # of some 80 bytes in a header: below it, too
HEARTBEAT_MS = 2_000  # of event time without a row for a partition, after which it hears that the source goes on
UNKNOWN_METRICS = 5_000  # metric names that no rule names and the doctor is told of, in this process's life

NEVER = -(2**62)

_SERIES_HEADERS: Headers = ((TYPE_HEADER, b"series"), SCHEMA)
_HEARTBEAT_HEADERS: Headers = ((TYPE_HEADER, b"heartbeat"), SCHEMA)


Part = tuple[int, BatchSource, SampleBatch]  # rows of one source, and the partition that they go to


def announcements(decoded: Decoded, cache: SeriesCache, now: int) -> Iterator[Output]:
    """Yield the definitions that are due; marks what it announces, so every record must be acknowledged or the process end.

    `now` is this host's clock in ms: the clocks in the records may jump.
    """
    dues = np.unique(decoded.slots[~cache.announced[decoded.slots] | (cache.again[decoded.slots] <= now)])
    destinations = cache.partition[dues]
    for destination in np.unique(destinations).tolist():
        due = dues[destinations == destination]
        yield from (_definition(int(cache.ids[slot]), cache.told(slot)) for slot in due[~cache.announced[due]].tolist())
        yield from _announce(map(cache.told, due.tolist()), destination)
        cache.announced[due] = True
        cache.again[due] = now + AGAIN_MS // 2 + (cache.ids[due] % np.uint64(AGAIN_MS // 2)).astype(np.int64)


def parts(topic: str, partition: int, decoded: Decoded, cache: SeriesCache) -> Iterator[Part]:
    """Cut the rows of one decoded batch by the partition that they go to."""
    destinations, batch = cache.partition[decoded.slots], decoded.batch
    for destination in np.flatnonzero(np.bincount(destinations)).tolist():
        for rows in _by_record(np.flatnonzero(destinations == destination), batch.offset):
            part = SampleBatch(batch.series[rows], batch.time[rows], batch.value[rows], batch.offset[rows])
            yield destination, BatchSource(topic, partition, int(part.offset[0]), int(part.offset[-1])), part


def together(found: Iterable[Part]) -> Iterator[Output]:
    """Yield records that hold these parts, of several sources each where they are small: what a record costs its reader is much."""
    open_: dict[int, list[tuple[BatchSource, SampleBatch]]] = {}  # by destination
    rows: Counter[int] = Counter()
    for destination, source, batch in found:
        held = open_.setdefault(destination, [])
        if held and (rows[destination] + len(batch.offset) > BATCH_ROWS or len(held) >= BATCH_SOURCES):
            yield _record(held, destination)
            rows[destination] = 0
            held.clear()
        held.append((source, batch))
        rows[destination] += len(batch.offset)
    for destination, held in open_.items():
        yield _record(held, destination)


def _record(held: list[tuple[BatchSource, SampleBatch]], destination: int) -> Output:
    value, header = encode_batches(held)
    return Output(SAMPLES.name, None, value, ((TYPE_HEADER, b"samples"), (BATCH_HEADER, header), SCHEMA), destination)


def _by_record(rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut rows into batches that the topic takes. What one record gave stays together: detect takes a source offset once."""
    while len(rows) > BATCH_ROWS:
        cut = int(np.searchsorted(offsets[rows], offsets[rows[BATCH_ROWS]]))  # where the record of the first row too many begins
        cut = cut or int(np.searchsorted(offsets[rows], offsets[rows[0]], "right"))
        yield rows[:cut]
        rows = rows[cut:]
    if len(rows):
        yield rows


class Heartbeats:
    """Tells partitions without rows that a source partition goes on: only so can a service that is alone in its partition fall silent.

    When a source has nothing at all, nobody is told anything: that silence is the pipeline's.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._told: dict[tuple[str, int], NDArray[np.int64]] = {}  # event time that each destination heard of last

    def outputs(self, topic: str, partition: int, decoded: Decoded, cache: SeriesCache) -> Iterator[Output]:
        """Yield the heartbeats of one decoded batch, to be appended after its rows."""
        batch = decoded.batch
        if not len(batch.time):
            return
        told = self._told.setdefault((topic, partition), np.full(self._partitions, NEVER, np.int64))
        newest = int(batch.time.max())
        told[cache.partition[decoded.slots]] = newest
        beat = encode_heartbeat(Heartbeat(topic, partition, int(batch.offset[-1]), newest))
        for destination in np.flatnonzero(np.abs(newest - told) >= HEARTBEAT_MS).tolist():  # either way: one wild time may not end them
            told[destination] = newest
            yield Output(SAMPLES.name, None, beat, _HEARTBEAT_HEADERS, destination)


class UnknownMetrics:
    """Metric names already told of; the doctor reads their definitions from the series topic."""

    def __init__(self, limit: int = UNKNOWN_METRICS) -> None:
        self._limit = limit
        self._told: set[int] = set()
        self.untold = 0  # label texts of further names: counted as unmapped samples, and the doctor hears no more

    def outputs(self, definitions: Iterable[SeriesDef]) -> Iterator[Output]:
        for found in definitions:
            if found.id in self._told:
                continue
            if len(self._told) >= self._limit:
                self.untold += 1
                continue
            self._told.add(found.id)
            yield _definition(found.id, encode_series([found]))


def alert_outputs(events: Iterable[AlertEvent], partitions: int) -> Iterator[Output]:
    """Yield one record an alert, to the partition of its fingerprint: all repeats meet in one fold."""
    for event in events:
        found = emit(ALERTS, event.fingerprint, event)
        yield Output(found.topic, found.key, found.value, found.headers, partition_of(event.fingerprint, partitions))


def change_output(change: Change) -> Output:
    return emit(SIGNALS, change.service, change, change.source)


def _announce(definitions: Iterable[bytes], destination: int) -> Iterator[Output]:
    """Yield the definitions, each a list of one, for the partition that is about to see them, in pieces."""
    piece: list[bytes] = []
    size = 0
    for told in definitions:
        if piece and size + len(told) > SERIES_RECORD_BYTES:
            yield _piece(piece, destination)
            piece, size = [], 0
        piece.append(told[1:-1])
        size += len(told)
    yield _piece(piece, destination)


def _piece(definitions: list[bytes], destination: int) -> Output:
    return Output(SAMPLES.name, None, b"[" + b",".join(definitions) + b"]", _SERIES_HEADERS, destination)


def _definition(one: int, told: bytes) -> Output:
    return Output(SERIES.name, f"{one:016x}".encode(), told, _SERIES_HEADERS)
