"""prometheus-kafka-adapter's JSON, one sample a message, decoded by the batch.

{"labels":{"__name__":"up","instance":"10.0.0.1:80","job":"shop"},"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"1"}

The value is a string. Where `labels.__name__` and `name` differ, the labels win: they are what Prometheus hashes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.normalise.cache import NAMELESS, NEEDS_NAME, SeriesCache, labels_of
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.port import Described, Sample
from streams.normalise.jsons import DECODE_ERRORS, decode, why
from streams.normalise.numerals import all_numerals, is_numeral
from streams.normalise.rows import Refusals, Rows, together
from streams.normalise.times import MEMO_SIZE, parse_time

if TYPE_CHECKING:
    from streams.normalise.adapter_columns import AdapterColumns

MAX_SAMPLE_BYTES = 65_536  # Prometheus' own limit on a label set is far below it


class _Sample(msgspec.Struct, gc=False):
    timestamp: str
    value: str
    labels: msgspec.Raw
    name: str = ""


_SAMPLE = msgspec.json.Decoder(_Sample)


@dataclass(frozen=True, slots=True)
class Adapted:
    """Samples, one a record, and the records that are of another shape."""

    rows: Rows
    foreign: list[tuple[int, Rejection]]  # index of the record, and why it is none of these


class Decoder:
    def __init__(self, cache: SeriesCache) -> None:
        self.cache = cache
        self._decode = _SAMPLE.decode
        self._time = lru_cache(MEMO_SIZE)(_time)
        self._untimed = 0  # texts that were no time: asked for, never remembered
        self._columns: AdapterColumns | None = None

    @property
    def times_evicted(self) -> int:
        info = self._time.cache_info()
        return info.misses - self._untimed - info.currsize

    def decode(self, values: Sequence[bytes | None], beside: Collection[int], refusals: Refusals) -> Adapted:
        """Decode messages but those `beside`: by the batch, and one by one what that leaves. Never raises for what is in them."""
        if self._columns is None:
            from streams.normalise.adapter_columns import AdapterColumns  # noqa: PLC0415 - compiles code: only who needs it

            self._columns = AdapterColumns(self.cache)
        texts = [value or b"" for value in values]
        for index in beside:
            texts[index] = b""
        rows, left = self._columns.read(texts)
        if beside:
            left = [index for index in left if index not in beside]
        if not left:
            return Adapted(rows, [])
        others = self.one_by_one(values, left, refusals)
        return Adapted(together([rows, others.rows]), others.foreign)

    def one_by_one(self, values: Sequence[bytes | None], chosen: Iterable[int], refusals: Refusals) -> Adapted:
        """Decode the chosen messages each by itself: what is said of them here is what holds."""
        decode, time_of = self._decode, self._time
        foreign: list[tuple[int, Rejection]] = []
        kept: list[int] = []
        raws: list[bytes] = []  # of the labels
        names: list[str] = []
        times: list[int] = []
        numbers: list[float] = []
        texts: list[str] = []  # of the numbers
        for index in chosen:
            value = values[index]
            if value is None or len(value) > MAX_SAMPLE_BYTES:
                foreign.append((index, _unreadable(value)))
                continue
            try:
                sample = decode(value)
                number = float(sample.value)
            except DECODE_ERRORS as error:
                foreign.append((index, why(error)))
                continue
            except ValueError:
                refusals.add(index, _not_a_number(sample.value))
                continue
            try:
                at = time_of(sample.timestamp)
            except ValueError:
                self._untimed += 1
                refusals.add(index, Rejection(Reason.WRONG_TYPE, f"timestamp {sample.timestamp[:64]!r} is not RFC 3339"))
                continue
            kept.append(index)
            raws.append(bytes(sample.labels))
            names.append(sample.name)
            times.append(at)
            numbers.append(number)
            texts.append(sample.value)
        rows = Rows(
            record=np.array(kept, np.int64),
            part=np.zeros(len(kept), np.int64),
            slot=self.cache.find_all(raws, names),
            time=np.array(times, np.int64),
            value=np.array(numbers, np.float64),
        )
        named = rows.slot != NEEDS_NAME
        for row in np.flatnonzero(~named).tolist():
            refusals.add(kept[row], NAMELESS)
        if not all_numerals(texts):
            named &= _numerals(rows, named, texts, refusals)
        return Adapted(rows if named.all() else rows.pick(named), foreign)


class AdapterJson:
    """The same as a format among others: what is within an envelope, or has headers that say so."""

    name = "prometheus-json"

    def read(self, value: bytes) -> list[Sample | Rejection]:
        if len(value) > MAX_SAMPLE_BYTES:
            raise Rejected(Reason.TOO_LARGE, _unreadable(value).detail)
        sample = decode(_SAMPLE, value, MAX_SAMPLE_BYTES)
        if not is_numeral(sample.value):
            return [_not_a_number(sample.value)]
        at = parse_time(sample.timestamp)
        if at is None:
            return [Rejection(Reason.WRONG_TYPE, f"timestamp {sample.timestamp[:64]!r} is not RFC 3339")]
        return [Sample(sample.name.encode() + b"\x00" + bytes(sample.labels), at, float(sample.value))]

    def describe(self, key: bytes) -> Described:
        name, _, raw = key.rpartition(b"\x00")  # JSON has none, a name may
        labels = labels_of(raw, name.decode())
        if labels is None:
            raise Rejected(NAMELESS.reason, NAMELESS.detail)
        return Described(labels)


def _numerals(rows: Rows, chosen: NDArray[np.bool_], texts: Sequence[str], refusals: Refusals) -> NDArray[np.bool_]:
    """Tell which are not what Python reads as a number and no producer means as one: 1_000, " 1"; refuse those of the chosen."""
    good = np.fromiter(map(is_numeral, texts), np.bool_, len(texts))
    for row in np.flatnonzero(chosen & ~good).tolist():
        refusals.add(int(rows.record[row]), _not_a_number(texts[row]))
    return good


def _time(text: str) -> int:
    """Raise ValueError for what is no time: an exception is never memoised, so only texts of RFC 3339's length are."""
    at = parse_time(text)
    if at is None:
        raise ValueError(text[:64])
    return at


def _not_a_number(text: str) -> Rejection:
    return Rejection(Reason.WRONG_TYPE, f"value {text[:64]!r} is not a number")


def _unreadable(value: bytes | None) -> Rejection:
    if value is None:
        return Rejection(Reason.NOT_JSON, "the record has no value")
    return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_SAMPLE_BYTES}")
