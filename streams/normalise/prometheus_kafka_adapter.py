"""prometheus-kafka-adapter's JSON, one sample a message, decoded by the batch.

{"labels":{"__name__":"up","instance":"10.0.0.1:80","job":"shop"},"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"1"}

The value is a string. Where `labels.__name__` and `name` differ, the labels win: they are what Prometheus hashes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.samples import SampleBatch, SeriesDef
from streams.normalise.cache import NAMELESS, SeriesCache
from streams.normalise.fates import Reason, Rejection
from streams.normalise.jsons import DECODE_ERRORS, why
from streams.normalise.numerals import all_numerals, is_numeral
from streams.normalise.series import Unmapped
from streams.normalise.times import MEMO_SIZE, NEWEST_MS, Reach, parse_time

MAX_SAMPLE_BYTES = 65_536  # Prometheus' own limit on a label set is far below it


class _Sample(msgspec.Struct, gc=False):
    timestamp: str
    value: str
    labels: msgspec.Raw
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of what could be read, before its meaning is checked; `kept` is the index of the message."""

    kept: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # of the numbers


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of accepted samples in source order, and the fate of every other message: rows + rejected + unmapped = messages."""

    batch: SampleBatch
    slots: NDArray[np.int64]  # of each row, in the cache that decoded it
    rejected: list[tuple[int, Rejection]]  # by index of the message
    unmapped: int
    unknown: list[SeriesDef]  # what the unmapped samples are, once a label text


class Decoder:
    def __init__(self, cache: SeriesCache) -> None:
        self.cache = cache
        self._decode = msgspec.json.Decoder(_Sample).decode
        self._time = lru_cache(MEMO_SIZE)(_time)
        self._untimed = 0  # texts that were no time: asked for, never remembered

    @property
    def times_evicted(self) -> int:
        info = self._time.cache_info()
        return info.misses - self._untimed - info.currsize

    def decode(self, values: Sequence[bytes | None], offsets: Sequence[int], stamps: Sequence[int], reach: Reach) -> Decoded:
        """Decode messages of one source partition; `stamps` are their Kafka timestamps in ms. Never raises for what is in them."""
        cache = self.cache
        cache.turn()
        decode, slot_of, find, time_of = self._decode, cache.young.get, cache.find, self._time
        rejected: list[tuple[int, Rejection]] = []
        rows = _Rows()
        kept, slots, times, numbers, texts = rows.kept, rows.slots, rows.times, rows.numbers, rows.texts
        for index, value in enumerate(values):
            if value is None or len(value) > MAX_SAMPLE_BYTES:
                rejected.append((index, _unreadable(value)))
                continue
            try:
                sample = decode(value)
                number = float(sample.value)
            except DECODE_ERRORS as error:
                rejected.append((index, why(error)))
                continue
            except ValueError:
                rejected.append((index, _not_a_number(sample.value)))
                continue
            try:
                at = time_of(sample.timestamp)
            except ValueError:
                self._untimed += 1
                rejected.append((index, Rejection(Reason.WRONG_TYPE, f"timestamp {sample.timestamp[:64]!r} is not RFC 3339")))
                continue
            raw = bytes(sample.labels)
            slot = slot_of(raw)
            if slot is None or slot < 0:
                slot = find(raw, sample.name)
                if slot < 0:
                    rejected.append((index, NAMELESS))
                    continue
            slots.append(slot)
            times.append(at)
            numbers.append(number)
            texts.append(sample.value)
            kept.append(index)
        return self._settle(rows, offsets, stamps, rejected, reach)

    def _settle(
        self, rows: _Rows, offsets: Sequence[int], stamps: Sequence[int], rejected: list[tuple[int, Rejection]], reach: Reach
    ) -> Decoded:
        """Check the whole batch's meaning, finiteness and range at once."""
        index = np.array(rows.kept, np.int64)
        slot = np.array(rows.slots, np.int64)
        at = np.array(rows.times, np.int64)
        number = np.array(rows.numbers, np.float64)
        stamp = np.array(stamps, np.int64)[index]
        partition = self.cache.partition[slot]
        mapped = partition >= 0
        finite = np.isfinite(number)
        timely = (at >= reach.earliest) & (at <= reach.latest)
        timely &= (stamp <= 0) | ((stamp <= reach.latest) & (at >= stamp - reach.before_record) & (at <= stamp + NEWEST_MS))
        good = mapped & finite & timely
        if not all_numerals(rows.texts):
            good &= np.fromiter(map(is_numeral, rows.texts), np.bool_, len(rows.texts))
        unmapped = 0
        unknown: dict[int, SeriesDef] = {}
        if not good.all():
            for row in np.flatnonzero(~good).tolist():
                meaning = self.cache.meaning(rows.slots[row])
                if not is_numeral(rows.texts[row]):
                    rejected.append((rows.kept[row], _not_a_number(rows.texts[row])))
                elif isinstance(meaning, Unmapped):
                    unmapped += 1
                    unknown[rows.slots[row]] = meaning.definition
                elif isinstance(meaning, Rejection):
                    rejected.append((rows.kept[row], meaning))
                else:
                    rejected.append((rows.kept[row], _refusal(rows.numbers[row], rows.times[row], int(stamp[row]), reach)))
            rejected.sort(key=lambda found: found[0])
            index, slot, at, number = index[good], slot[good], at[good], number[good]
        batch = SampleBatch(self.cache.ids[slot], at, number, np.array(offsets, np.int64)[index])
        return Decoded(batch, slot, rejected, unmapped, list(unknown.values()))


def _time(text: str) -> int:
    """Raise ValueError for what is no time: an exception is never memoised, so only texts of RFC 3339's length are."""
    at = parse_time(text)
    if at is None:
        raise ValueError(text[:64])
    return at


def _not_a_number(text: str) -> Rejection:
    return Rejection(Reason.WRONG_TYPE, f"value {text[:64]!r} is not a number")


def _refusal(number: float, at: int, stamp: int, reach: Reach) -> Rejection:
    if not math.isfinite(number):
        return Rejection(Reason.NOT_FINITE, f"value {number}")
    return Rejection(Reason.TIMESTAMP_OUT_OF_RANGE, reach.says(at, stamp))


def _unreadable(value: bytes | None) -> Rejection:
    if value is None:
        return Rejection(Reason.NOT_JSON, "the record has no value")
    return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_SAMPLE_BYTES}")
