"""Records of metrics to rows, whatever format they are in: the busy ones by the batch, the others record by record."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from streams.harness.errors import Retryable
from streams.harness.redelivery import skipped
from streams.harness.stage import Headers
from streams.normalise.by_batch import ByBatch, with_a_value
from streams.normalise.cache import KEYS_AT_ONCE, SeriesCache
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.catalogue import ADAPTER
from streams.normalise.formats.choice import FORMAT_HEADER, Choice, Look
from streams.normalise.formats.choice import Read as OfFormat
from streams.normalise.formats.confluent import HEADER as SCHEMA_ID
from streams.normalise.formats.port import Format
from streams.normalise.formats.staleness import is_stale
from streams.normalise.prometheus_kafka_adapter import Decoder
from streams.normalise.raw import UNKNOWN, Found, Raw, Waits, untimely
from streams.normalise.rows import Rows, together
from streams.normalise.times import LATEST_MS

TELLING = frozenset({"content-type", "ce_specversion", FORMAT_HEADER, SCHEMA_ID})  # headers that say of what format a record is


class Reader:
    def __init__(self, cache: SeriesCache, choice: Choice, adapter: Decoder) -> None:
        self._cache = cache
        self._choice = choice
        self._adapter = adapter
        self._prefixes: dict[tuple[int, str], bytes] = {}  # by a format that the choice holds, and source: how keys begin in the cache
        self._by_batch = ByBatch(cache, choice, self._prefix)

    def read(self, raw: Raw) -> Found:
        """Read records of one source partition. Raises Waits, after which all may be read again."""
        self._cache.turn()
        self._cache.source = raw.topic
        found = Found()
        told = self._choice.topics.get(raw.topic)
        beside = {index for index, of in raw.headers.items() if _tells(of)}
        others: Sequence[int] = range(len(raw.values))
        parts = []
        if (told is None or told.format.name == ADAPTER) and len(beside) < len(raw.values):
            adapted = self._adapter.decode(raw.values, beside, found.refusals)
            parts.append(with_a_value(adapted.rows, found))
            if told is None:
                others = sorted({*beside, *(index for index, _ in adapted.foreign)})
            else:
                others = sorted(beside)
                for index, rejection in adapted.foreign:
                    found.refusals.add(index, rejection)
        columns = _Columns(self._cache)
        batched = self._by_batch.read(raw, others, found)
        for index, first, read in batched.beside:
            self._samples(raw, read, index, first, columns, found)
        for index, look in sorted(batched.left.items(), key=itemgetter(0)):
            self._record(raw, index, look, columns, found)
        found.rows = together([*parts, *batched.rows, *([columns.rows()] if columns.record else [])])
        return found

    def _record(self, raw: Raw, index: int, look: Look | None, columns: _Columns, found: Found) -> None:
        """Read one record by itself."""
        of = raw.headers_of(index)
        before = skipped(of) if of else frozenset()
        if before:
            found.before[index] = before
        found.formats[index] = UNKNOWN
        try:
            reads = self._choice.read(raw.topic, _value(raw.values[index]), of, look)
        except Rejected as refused:
            found.refusals.add(index, refused.rejection)
            return
        except Retryable as away:
            raise Waits(index, str(away)) from away
        part = 0
        for read in reads:
            if isinstance(read, Rejection):
                found.refusals.add(index, read, part)
                part += 1
                continue
            found.formats[index] = read.format.name
            part = self._samples(raw, read, index, part, columns, found)

    def _samples(self, raw: Raw, read: OfFormat, index: int, part: int, columns: _Columns, found: Found) -> int:
        """Take the samples of one read; return the number of the part that follows."""
        stamp, source = raw.stamps[index], raw.source(index)
        columns.begin(read.format, source, self._prefix(read.format, source))
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
                found.refusals.add(index, untimely(one.at), this)
                continue
            columns.add(index, this, key, at, value)
        return part

    def _prefix(self, format_: Format, source: str) -> bytes:
        """Return what keeps the keys of this format and source apart."""
        known = id(format_), source
        prefix = self._prefixes.get(known)
        if prefix is None:
            prefix = self._prefixes[known] = b"%d" % len(self._prefixes)
        return prefix


class _Columns:
    """Samples that were read one by one; their keys are looked up many at a time."""

    def __init__(self, cache: SeriesCache) -> None:
        self._cache = cache
        self._of: tuple[Format, str, bytes] | None = None  # of the keys: format, source and prefix
        self._keys: list[bytes] = []
        self.record: list[int] = []
        self._part: list[int] = []
        self._slot: list[int] = []  # of those whose keys were looked up
        self._time: list[int] = []
        self._value: list[float] = []

    def begin(self, format_: Format, source: str, prefix: bytes) -> None:
        """Take samples of this format and source from now on."""
        of = format_, source, prefix
        if self._of != of:
            self._look_up()
            self._of = of

    def add(self, record: int, part: int, key: bytes, time: int, value: float) -> None:
        self.record.append(record)
        self._part.append(part)
        self._keys.append(key)
        self._time.append(time)
        self._value.append(value)
        if len(self._keys) >= KEYS_AT_ONCE:
            self._look_up()

    def rows(self) -> Rows:
        self._look_up()
        record, part, slot, time = (np.array(column, np.int64) for column in (self.record, self._part, self._slot, self._time))
        return Rows(record, part, slot, time, np.array(self._value, np.float64))

    def _look_up(self) -> None:
        if self._of is not None and self._keys:
            (format_, self._cache.source, prefix), keys = self._of, self._keys
            self._slot += self._cache.slots_of(prefix, keys, lambda place: format_.describe(keys[place])).tolist()
            keys.clear()


def _value(value: bytes | None) -> bytes:
    if value is None:
        raise Rejected(Reason.NOT_JSON, "the record has no value")
    return value


def _tells(headers: Headers) -> bool:
    """Tell whether headers say of what format their record is, or that it is replayed."""
    return any(name.lower() in TELLING or name.startswith("airra.replay.") for name, _ in headers)
