"""Records of metrics to rows, whatever format they are in: the two busy ones by the batch, the others record by record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.samples import SOURCE_HEADER, STALE_BITS
from schemas.topics import WRITE
from streams.harness.redelivery import skipped
from streams.harness.stage import Headers
from streams.normalise.cache import SeriesCache
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.catalogue import ADAPTER, CANDIDATES, OTLP, REMOTE_WRITE
from streams.normalise.formats.choice import FORMAT_HEADER, Choice
from streams.normalise.formats.choice import Read as OfFormat
from streams.normalise.formats.cloudevents import is_event
from streams.normalise.formats.confluent import HEADER as SCHEMA_ID
from streams.normalise.formats.port import Described, Format
from streams.normalise.formats.staleness import is_stale
from streams.normalise.prometheus_kafka_adapter import Decoder
from streams.normalise.rows import Refusals, Rows
from streams.normalise.times import LATEST_MS

_BY_BATCH = {one.format.name: one for one in CANDIDATES if one.format.name in {OTLP, REMOTE_WRITE}}
TELLING = frozenset({"content-type", "ce_specversion", FORMAT_HEADER, SCHEMA_ID})  # headers that say of what format a record is

if TYPE_CHECKING:
    from streams.normalise.columnar import RemoteWriteColumns
    from streams.normalise.otlp_columns import OtlpColumns

UNKNOWN = "unknown"  # in place of the format of a record that none could read


@dataclass(slots=True)
class Found:
    """What could be read of a batch of records."""

    rows: Rows
    refusals: Refusals
    formats: dict[int, str]  # the format of each record that is not the adapter's
    before: dict[int, frozenset[int]] = field(default_factory=dict)  # of replayed records: the parts that were taken
    no_value: Counter[int] = field(default_factory=Counter)  # samples without a value, by record


class Reader:
    def __init__(self, cache: SeriesCache, choice: Choice, adapter: Decoder) -> None:
        self._cache = cache
        self._choice = choice
        self._adapter = adapter
        self._prefixes: dict[tuple[int, str], bytes] = {}  # by a format that the choice holds, and source: how keys begin in the cache
        self._columns: dict[tuple[str, str], RemoteWriteColumns | OtlpColumns] = {}  # by format and source

    def read(self, topic: str, values: Sequence[bytes | None], stamps: Sequence[int], headers: Sequence[Headers] | None) -> Found:
        """Read records of one source partition; `headers` is None where none of them has any.

        Raises Retryable, after which all may be read again.
        """
        self._cache.turn()
        self._cache.source = topic
        refusals = Refusals()
        found = Found(_none(), refusals, {})
        told = self._choice.topics.get(topic)
        plain, others = _apart(len(values), headers)
        if told is not None and told.format.name != ADAPTER:
            plain, others = [], range(len(values))
        parts = []
        if plain:
            adapted = self._adapter.decode(values, plain, refusals)
            parts.append(adapted.rows)
            if told is None:
                others = sorted({*others, *(index for index, _ in adapted.foreign)})
            else:
                for index, rejection in adapted.foreign:
                    refusals.add(index, rejection)
        by_batch, others = self._by_batch(topic, values, stamps, headers, others, found)
        parts += by_batch
        if others:
            parts.append(self._each(topic, values, stamps, headers, others, found))
        found.rows = _together([part for part in parts if len(part)])
        return found

    def _by_batch(
        self,
        topic: str,
        values: Sequence[bytes | None],
        stamps: Sequence[int],
        headers: Sequence[Headers] | None,
        chosen: Sequence[int],
        found: Found,
    ) -> tuple[list[Rows], Sequence[int]]:
        """Read what is of a format that is read by the batch; return its rows, and the records that are left."""
        bodies: dict[tuple[str, str], tuple[list[int], list[bytes]]] = {}  # by format and source
        left: list[int] = []
        for index in chosen:
            of = headers[index] if headers is not None else ()
            value = values[index]
            try:
                only = None if value is None or is_event(of) or skipped(of) else self._choice.only(topic, value, of)
                if only is None or value is None or only.format.name not in _BY_BATCH:
                    left.append(index)
                    continue
                body = only.reframe(value, of)
            except Rejected as refused:
                found.refusals.add(index, refused.rejection)
                found.formats[index] = UNKNOWN
                continue
            found.formats[index] = only.format.name
            records, packed = bodies.setdefault((only.format.name, source_of(topic, of)), ([], []))
            records.append(index)
            packed.append(body)
        parts = []
        beside = _Columns()
        for (name, source), (records, packed) in bodies.items():
            candidate = _BY_BATCH[name]
            self._cache.source = source
            batch = self._columns_of(candidate.format, source).read(self._prefix(candidate.format, source), records, packed)
            parts.append(_valued(_timed(batch.rows, stamps, found) if name == OTLP else batch.rows, found))
            left += batch.left
            for index, first, items in batch.beside:
                self._samples(OfFormat(candidate, items), index, first, stamps[index], beside, found, source)
        return [*parts, beside.rows()], sorted(left)

    def _columns_of(self, format_: Format, source: str) -> RemoteWriteColumns | OtlpColumns:
        known = format_.name, source
        if known not in self._columns:
            from streams.normalise.columnar import RemoteWriteColumns, Slots  # noqa: PLC0415 - compiles code: only who needs it
            from streams.normalise.otlp_columns import OtlpColumns  # noqa: PLC0415

            kind = RemoteWriteColumns if format_.name == REMOTE_WRITE else OtlpColumns
            self._columns[known] = kind(Slots(self._cache, format_.describe))
        return self._columns[known]

    def _each(
        self,
        topic: str,
        values: Sequence[bytes | None],
        stamps: Sequence[int],
        headers: Sequence[Headers] | None,
        chosen: Sequence[int],
        found: Found,
    ) -> Rows:
        """Read record by record."""
        columns = _Columns()
        for index in chosen:
            of = headers[index] if headers is not None else ()
            before = skipped(of) if of else frozenset()
            if before:
                found.before[index] = before
            found.formats[index] = UNKNOWN
            try:
                reads = self._choice.read(topic, _value(values[index]), of)
            except Rejected as refused:
                found.refusals.add(index, refused.rejection)
                continue
            part, source = 0, source_of(topic, of)
            self._cache.source = source
            for read in reads:
                if isinstance(read, Rejection):
                    found.refusals.add(index, read, part)
                    part += 1
                    continue
                found.formats[index] = read.format.name
                part = self._samples(read, index, part, stamps[index], columns, found, source)
        return columns.rows()

    def _samples(self, read: OfFormat, index: int, part: int, stamp: int, columns: _Columns, found: Found, source: str) -> int:
        """Take the samples of one read; return the number of the part that follows."""
        format_, prefix = read.format, self._prefix(read.format, source)
        young, slot_of = self._cache.young.get, self._cache.slot_of
        before = found.before.get(index, frozenset())
        for one in read.found:
            this, part = part, part + 1
            if this in before:
                continue
            if isinstance(one, Rejection):
                found.refusals.add(index, one, this)
                continue
            key, at, value = one
            if value != value and read.candidate.no_value and not is_stale(value):  # noqa: PLR0124 - only a NaN differs from itself
                found.no_value[index] += 1
                continue
            if at is None:
                at = stamp
            if not 0 <= at < LATEST_MS or (one.at is None and stamp <= 0):
                found.refusals.add(index, _untimely(one.at), this)
                continue
            name = prefix + key
            slot = young(name)
            if slot is None:
                slot = slot_of(name, _describer(format_, key))
            columns.add(index, this, slot, at, value)
        return part

    def _prefix(self, format_: Format, source: str) -> bytes:
        """Return what keeps the keys of this format and source apart: no label text of the adapter begins with a NUL."""
        known = id(format_), source
        prefix = self._prefixes.get(known)
        if prefix is None:
            prefix = self._prefixes[known] = b"\x00%d\x00" % len(self._prefixes)
        return prefix


@dataclass(slots=True)
class _Columns:
    record: list[int] = field(default_factory=list)
    part: list[int] = field(default_factory=list)
    slot: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, record: int, part: int, slot: int, time: int, value: float) -> None:
        self.record.append(record)
        self.part.append(part)
        self.slot.append(slot)
        self.time.append(time)
        self.value.append(value)

    def rows(self) -> Rows:
        record, part, slot, time = (np.array(column, np.int64) for column in (self.record, self.part, self.slot, self.time))
        return Rows(record, part, slot, time, np.array(self.value, np.float64))


def _value(value: bytes | None) -> bytes:
    if value is None:
        raise Rejected(Reason.NOT_JSON, "the record has no value")
    return value


def source_of(topic: str, headers: Headers) -> str:
    """Return who sends a record: what the API has seen by its token, elsewhere the topic, whose ACL says who writes to it."""
    name = next((value for name, value in reversed(headers) if name == SOURCE_HEADER), None) if topic == WRITE.name else None
    return topic if name is None else name.decode(errors="replace")


def _timed(rows: Rows, stamps: Sequence[int], found: Found) -> Rows:
    """Give what has no time of its own that of its record."""
    timeless = rows.time == 0
    if not timeless.any():
        return rows
    stamp = np.array(stamps, np.int64)[rows.record]
    rows = Rows(rows.record, rows.part, rows.slot, np.where(timeless, stamp, rows.time), rows.value)
    nothing = timeless & (stamp <= 0) & ~_absent(rows.value)
    for row in np.flatnonzero(nothing).tolist():
        found.refusals.add(int(rows.record[row]), _untimely(None), int(rows.part[row]))
    return rows.pick(~nothing) if nothing.any() else rows


def _absent(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell what says that there is no value: a NaN that is not the mark of an end."""
    nan: NDArray[np.bool_] = np.isnan(value)
    return nan & (value.view(np.uint64) != STALE_BITS) if nan.any() else nan


def _valued(rows: Rows, found: Found) -> Rows:
    """Leave out samples without a value, and those of no time that any column can hold."""
    nothing = _absent(rows.value)
    wild = (rows.time < 0) | (rows.time >= LATEST_MS)
    if not (nothing.any() or wild.any()):
        return rows
    for record in rows.record[nothing].tolist():
        found.no_value[record] += 1
    for row in np.flatnonzero(wild & ~nothing).tolist():
        found.refusals.add(int(rows.record[row]), _untimely(int(rows.time[row])), int(rows.part[row]))
    return rows.pick(~(nothing | wild))


def _describer(format_: Format, key: bytes) -> Callable[[], Described]:
    return lambda: format_.describe(key)


def _apart(count: int, headers: Sequence[Headers] | None) -> tuple[Sequence[int], Sequence[int]]:
    """Return the records whose headers say nothing of their format, and those whose do or that are replayed."""
    if headers is None:
        return range(count), ()
    telling = [_tells(of) for of in headers]
    return [index for index, tells in enumerate(telling) if not tells], [index for index, tells in enumerate(telling) if tells]


def _tells(headers: Headers) -> bool:
    return any(name.lower() in TELLING or name.startswith("airra.replay.") for name, _ in headers)


def _untimely(at: int | None) -> Rejection:
    if at is None:
        return Rejection(Reason.MISSING_FIELD, "neither the sample nor its Kafka record has a time")
    return Rejection(Reason.TIMESTAMP_OUT_OF_RANGE, f"{at} ms")


def _none() -> Rows:
    return _Columns().rows()


def _together(parts: list[Rows]) -> Rows:
    """Put rows into the order of their records."""
    if not parts:
        return _none()
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("record", "part", "slot", "time", "value")}
    order = np.argsort(columns["record"], kind="stable")
    return Rows(**{name: column[order] for name, column in columns.items()})
