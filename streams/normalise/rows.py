"""Samples as columns, from what a format reads to what is appended; the meaning of a whole batch is checked at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from schemas.samples import STALE_BITS, SampleBatch, SeriesDef
from streams.harness.redelivery import ranges
from streams.normalise.cache import UNMAPPED, SeriesCache
from streams.normalise.fates import Reason, Rejection
from streams.normalise.series import Unmapped
from streams.normalise.times import NEWEST_MS, Reach


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of samples that could be read, before their meaning is checked; of one length."""

    record: NDArray[np.int64]  # index of the record in the batch, never falling
    part: NDArray[np.int64]  # index of the sample within its record
    slot: NDArray[np.int64]
    time: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.record)

    def pick(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        return Rows(self.record[chosen], self.part[chosen], self.slot[chosen], self.time[chosen], self.value[chosen])


_COLUMNS = tuple(one.name for one in fields(Rows))
_NONE = np.zeros(0, np.int64)
NO_ROWS = Rows(_NONE, _NONE, _NONE, _NONE, np.zeros(0, np.float64))


def together(parts: Sequence[Rows]) -> Rows:
    """Put rows into the order of their records: each way of reading goes through them in turns of its own."""
    some = [part for part in parts if len(part)]
    if not some:
        return NO_ROWS
    rows = some[0] if len(some) == 1 else Rows(*(np.concatenate([getattr(part, name) for part in some]) for name in _COLUMNS))
    sorted_ = (rows.record[1:] >= rows.record[:-1]).all()
    return rows if sorted_ else rows.pick(np.argsort(rows.record, kind="stable"))


@dataclass(slots=True)
class Refusals:
    """What was refused of each record, with how much of it: the first reason is told, the others are counted."""

    first: dict[int, tuple[int, Rejection]] = field(default_factory=dict)  # by index of the record: of its first such part
    count: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, record: int, rejection: Rejection, part: int = 0) -> None:
        known = self.first.get(record)
        if known is None or part < known[0]:
            self.first[record] = part, rejection
        self.count[record] += 1


@dataclass(frozen=True, slots=True)
class Refused:
    record: int
    rejection: Rejection
    forwarded: str = ""  # which of its samples were taken all the same, now or before, as ranges


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of accepted samples in source order, and what became of the rest."""

    batch: SampleBatch
    slots: NDArray[np.int64]  # of each row, in the cache that decoded it
    record: NDArray[np.int64]  # of each row
    refused: list[Refused]  # in the order of the records
    unmapped: NDArray[np.int64]  # the record of each unmapped sample
    unknown: list[SeriesDef]  # what the unmapped samples are, each series key once in the life of the cache


def settle(
    rows: Rows,
    offsets: Sequence[int],
    stamps: Sequence[int],
    refusals: Refusals,
    cache: SeriesCache,
    reach: Reach,
    before: Mapping[int, frozenset[int]],
) -> Decoded:
    """Check meaning, finiteness and range of all rows at once.

    `before`: of records that are replayed, the parts that were taken when the others were refused.
    """
    stamp = np.array(stamps, np.int64)[rows.record]
    at, value = rows.time, rows.value
    where = cache.partition[rows.slot]
    mapped = where >= 0
    timely = (at >= reach.earliest) & (at <= reach.latest)
    timely &= (stamp <= 0) | ((stamp <= reach.latest) & (at >= stamp - reach.before_record) & (at <= stamp + NEWEST_MS))
    good = mapped & timely & _valued(value)
    unmapped = where == UNMAPPED
    unknown: list[SeriesDef] = []
    if not good.all():
        unknown = _unknown(rows.slot[unmapped], cache) if unmapped.any() else []
        bad = np.flatnonzero(~good & ~unmapped)
        columns = (column[bad].tolist() for column in (rows.record, rows.part, rows.slot, value, at, stamp))
        for record, part, slot, number, time, written in zip(*columns, strict=True):
            meaning = cache.meaning(slot)
            refusals.add(record, meaning if isinstance(meaning, Rejection) else _refusal(number, time, written, reach), part)
    kept = rows if good.all() else rows.pick(good)
    batch = SampleBatch(cache.ids[kept.slot], kept.time, kept.value, np.array(offsets, np.int64)[kept.record])
    return Decoded(batch, kept.slot, kept.record, _refused(refusals, kept, before), rows.record[unmapped], unknown)


def _unknown(slots: NDArray[np.int64], cache: SeriesCache) -> list[SeriesDef]:
    """Return what these unmapped samples are, once for each slot, in the order of their first; marks them as told."""
    news = slots[~cache.announced[slots]]
    _, firsts = np.unique(news, return_index=True)
    cache.announced[news] = True
    meanings = (cache.meaning(slot) for slot in news[np.sort(firsts)].tolist())
    return [found.definition for found in meanings if isinstance(found, Unmapped)]


def _valued(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values are numbers, or the mark that a series has ended."""
    valued: NDArray[np.bool_] = np.isfinite(value)
    return valued if valued.all() else valued | (np.ascontiguousarray(value).view(np.uint64) == STALE_BITS)


def _refused(refusals: Refusals, kept: Rows, before: Mapping[int, frozenset[int]]) -> list[Refused]:
    """Say of each record that was refused why, and which of its samples were taken all the same."""
    found: list[Refused] = []
    records = sorted(refusals.first)
    begins, ends = (np.searchsorted(kept.record, records, side).tolist() for side in ("left", "right"))
    for record, begin, end in zip(records, begins, ends, strict=True):
        (_, rejection), count = refusals.first[record], refusals.count[record]
        if count > 1:
            rejection = Rejection(rejection.reason, f"{rejection.detail}; so or otherwise {count} of its samples")
        taken = {*kept.part[begin:end].tolist(), *before.get(record, ())} if end > begin or record in before else ()
        found.append(Refused(record, rejection, ranges(sorted(taken)) if taken else ""))
    return found


def _refusal(number: float, at: int, stamp: int, reach: Reach) -> Rejection:
    if not math.isfinite(number):
        return Rejection(Reason.NOT_FINITE, f"value {number}")
    return Rejection(Reason.TIMESTAMP_OUT_OF_RANGE, reach.says(at, stamp))
