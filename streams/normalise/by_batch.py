"""Records of the formats that are read by the batch: which those are, and what is left to be read one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.samples import STALE_BITS
from streams.harness.redelivery import skipped
from streams.normalise.cache import SeriesCache
from streams.normalise.fates import Rejected
from streams.normalise.formats.catalogue import CANDIDATES, OTLP, REMOTE_WRITE
from streams.normalise.formats.choice import Choice, Look
from streams.normalise.formats.choice import Read as OfFormat
from streams.normalise.formats.cloudevents import is_event
from streams.normalise.formats.port import Format
from streams.normalise.raw import UNKNOWN, Found, Raw, untimely
from streams.normalise.rows import Rows
from streams.normalise.times import LATEST_MS

if TYPE_CHECKING:
    from streams.normalise.columnar import RemoteWriteColumns
    from streams.normalise.otlp_columns import OtlpColumns

FORMATS = {one.format.name: one for one in CANDIDATES if one.format.name in {OTLP, REMOTE_WRITE}}


@dataclass(slots=True)
class Batched:
    rows: list[Rows] = field(default_factory=list)
    left: dict[int, Look | None] = field(default_factory=dict)  # records that are to be read one by one, and what they look like
    beside: list[tuple[int, int, OfFormat]] = field(default_factory=list)  # record, number of its first sample, what is not in rows yet


class ByBatch:
    def __init__(self, cache: SeriesCache, choice: Choice, prefix: Callable[[Format, str], bytes]) -> None:
        """`prefix` keeps the keys of a format and a source apart in the cache."""
        self._cache = cache
        self._choice = choice
        self._prefix = prefix
        self._columns: dict[tuple[str, str], RemoteWriteColumns | OtlpColumns] = {}  # by format and source

    def read(self, raw: Raw, chosen: Sequence[int], found: Found) -> Batched:
        """Read what can be of the chosen records."""
        batched = Batched()
        bodies: dict[tuple[str, str], tuple[list[int], list[bytes]]] = {}  # by format and source
        for index in chosen:
            try:
                look = self._look(raw, index)
                candidate = look.only if look is not None else None
                if candidate is None or candidate.format.name not in FORMATS:
                    batched.left[index] = look
                    continue
                content = candidate.reframe(raw.values[index] or b"", raw.headers_of(index))
            except Rejected as refused:
                found.refusals.add(index, refused.rejection)
                found.formats[index] = UNKNOWN
                continue
            found.formats[index] = candidate.format.name
            records, contents = bodies.setdefault((candidate.format.name, raw.source(index)), ([], []))
            records.append(index)
            contents.append(content)
        for (name, source), (records, contents) in bodies.items():
            candidate = FORMATS[name]
            self._cache.source = source
            batch = self._columns_of(candidate.format, source).read(self._prefix(candidate.format, source), records, contents)
            batched.rows.append(_valued(_timed(batch.rows, raw, found) if name == OTLP else batch.rows, found))
            batched.left.update(dict.fromkeys(batch.left))
            batched.beside += [(index, first, OfFormat(candidate, items)) for index, first, items in batch.beside]
        return batched

    def _look(self, raw: Raw, index: int) -> Look | None:
        """Return what a plain record may be; None where it is none, or is replayed."""
        value, headers = raw.values[index], raw.headers_of(index)
        if value is None or (headers and (is_event(headers) or skipped(headers))):
            return None
        return self._choice.look(raw.topic, value, headers)

    def _columns_of(self, format_: Format, source: str) -> RemoteWriteColumns | OtlpColumns:
        known = format_.name, source
        if known not in self._columns:
            from streams.normalise.columnar import RemoteWriteColumns, Slots  # noqa: PLC0415 - compiles code: only who needs it
            from streams.normalise.otlp_columns import OtlpColumns  # noqa: PLC0415

            self._columns[known] = (
                RemoteWriteColumns(self._cache, format_.describe)
                if format_.name == REMOTE_WRITE
                else OtlpColumns(Slots(self._cache, format_.describe))
            )
        return self._columns[known]


def _timed(rows: Rows, raw: Raw, found: Found) -> Rows:
    """Give what has no time of its own that of its record."""
    timeless = rows.time == 0
    if not timeless.any():
        return rows
    stamp = np.array(raw.stamps, np.int64)[rows.record]
    rows = replace(rows, time=np.where(timeless, stamp, rows.time))
    nothing = timeless & (stamp <= 0) & ~_absent(rows.value)
    for row in np.flatnonzero(nothing).tolist():
        found.refusals.add(int(rows.record[row]), untimely(None), int(rows.part[row]))
    return rows.pick(~nothing) if nothing.any() else rows


def _absent(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell what says that there is no value: a NaN that is not the mark of an end."""
    nan: NDArray[np.bool_] = np.isnan(value)
    return nan & (value.view(np.uint64) != STALE_BITS) if nan.any() else nan


def _valued(rows: Rows, found: Found) -> Rows:
    """Leave out samples without a value, and those of no time that any column can hold."""
    rows = with_a_value(rows, found)
    wild = (rows.time < 0) | (rows.time >= LATEST_MS)
    if not wild.any():
        return rows
    for row in np.flatnonzero(wild).tolist():
        found.refusals.add(int(rows.record[row]), untimely(int(rows.time[row])), int(rows.part[row]))
    return rows.pick(~wild)


def with_a_value(rows: Rows, found: Found) -> Rows:
    """Leave out samples without a value, and count them."""
    nothing = _absent(rows.value)
    if not nothing.any():
        return rows
    found.no_value.update(rows.record[nothing].tolist())
    return rows.pick(~nothing)
