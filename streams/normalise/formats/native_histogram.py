"""Prometheus' native histograms, the message `Histogram` that both versions of remote_write share, as samples of classic series.

prometheus/prompb/types.proto and prompb/io/prometheus/write/v2/types.proto; what is checked is what Validate checks in
prometheus/model/histogram/histogram.go and float_histogram.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.buckets import Bucket, Exponential, explicit, exponential
from streams.normalise.formats.staleness import STALE, is_stale
from streams.normalise.formats.wire import I64, LEN, VARINT, double, doubles, fields, signed, tag, varints, zigzag, zigzag32

COARSEST, FINEST, CUSTOM = -4, 8, -53  # schemas
MAX_BYTES = 65_536  # of one: Prometheus advises to keep below 160 buckets, of some two bytes each
RESET_GAUGE = 3  # its counts may fall

_COUNT_INT, _COUNT_FLOAT, _SUM, _SCHEMA = tag(1, VARINT), tag(2, I64), tag(3, I64), tag(4, VARINT)
_ZERO_THRESHOLD, _ZERO_INT, _ZERO_FLOAT = tag(5, I64), tag(6, VARINT), tag(7, I64)
_NEGATIVE, _POSITIVE = 8, 11  # numbers of spans; deltas follow them, then counts
_RESET_HINT, _TIMESTAMP, _CUSTOM_VALUES = tag(14, VARINT), tag(15, VARINT), 16
_OFFSET, _LENGTH = tag(1, VARINT), tag(2, VARINT)


class Classic(NamedTuple):
    """A histogram as its classic series have it, at one time."""

    at: int
    buckets: list[Bucket]
    total: float
    sum: float
    gauge: bool


@dataclass(slots=True)
class _Side:
    spans: list[tuple[int, int]] = field(default_factory=list)  # gap since the span before, length
    deltas: list[int] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Histogram:
    schema: int = 0
    count: float = 0
    zero: float = 0
    floats: bool = False  # counts are floats, and not deltas of integers
    sum: float = 0.0
    zero_threshold: float = 0.0
    at: int = 0
    gauge: bool = False
    custom: list[float] = field(default_factory=list)
    sides: dict[int, _Side] = field(default_factory=lambda: {_NEGATIVE: _Side(), _POSITIVE: _Side()})


def read(data: bytes, start: int, end: int) -> Classic:
    """Raise Rejected for what is no sound histogram."""
    if end - start > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{end - start} bytes, at most {MAX_BYTES}")
    found = _read(data, start, end)
    if is_stale(found.sum):  # a marker has nothing else in it: which buckets there were is not said again
        return Classic(found.at, [Bucket("+Inf", STALE)], STALE, STALE, found.gauge)
    negative, positive = (_counts(found.sides[side], found) for side in (_NEGATIVE, _POSITIVE))
    if not (found.count >= 0 and found.zero >= 0 and found.zero_threshold >= 0):
        raise Rejected(Reason.WRONG_TYPE, f"count {found.count}, in the zero bucket {found.zero} within {found.zero_threshold}")
    inside = sum(positive.values()) + sum(negative.values()) + found.zero
    if not found.floats and inside > found.count:  # less is sound: NaN is counted, and in no bucket
        raise Rejected(Reason.WRONG_TYPE, f"{inside} observations in the buckets of {found.count}")
    if found.schema == CUSTOM:
        buckets = explicit(found.custom, _dense(found.custom, positive), found.count)
    elif COARSEST <= found.schema <= FINEST:
        buckets = exponential(Exponential(found.schema, positive, negative, found.zero_threshold, found.zero), found.count)
    else:
        raise Rejected(Reason.WRONG_TYPE, f"schema {found.schema}: known are {COARSEST} to {FINEST}, and {CUSTOM}")
    return Classic(found.at, buckets, float(found.count), found.sum, found.gauge)


def _read(data: bytes, start: int, end: int) -> _Histogram:
    found = _Histogram()
    for key, _, begin, stop, value in fields(data, start, end):
        number, kind = key >> 3, key & 7
        if key in (_COUNT_INT, _COUNT_FLOAT):
            found.floats = key == _COUNT_FLOAT
            found.count = double(data, begin) if found.floats else value
        elif key == _SUM:
            found.sum = double(data, begin)
        elif key == _SCHEMA:
            found.schema = zigzag32(value)
        elif key == _ZERO_THRESHOLD:
            found.zero_threshold = double(data, begin)
        elif key in (_ZERO_INT, _ZERO_FLOAT):
            found.zero = double(data, begin) if key == _ZERO_FLOAT else value
        elif key == _RESET_HINT:
            found.gauge = value == RESET_GAUGE
        elif key == _TIMESTAMP:
            found.at = signed(value)
        elif number == _CUSTOM_VALUES and kind in (LEN, I64):
            found.custom += doubles(data, begin, stop)
        elif _NEGATIVE <= number < _POSITIVE + 3:
            side = found.sides[_POSITIVE if number >= _POSITIVE else _NEGATIVE]
            _read_side(side, (number - _NEGATIVE) % 3, kind, data, (begin, stop, value))
    return found


def _read_side(side: _Side, part: int, kind: int, data: bytes, payload: tuple[int, int, int]) -> None:
    begin, stop, value = payload
    if part == 0 and kind == LEN:
        offset = length = 0
        for key, _, _, _, content in fields(data, begin, stop):
            if key == _OFFSET:
                offset = zigzag32(content)
            elif key == _LENGTH:
                length = content & 0xFFFF_FFFF
        side.spans.append((offset, length))
    elif part == 1 and kind in (LEN, VARINT):
        side.deltas += map(zigzag, varints(data, begin, stop) if kind == LEN else [value])
    elif part == 2 and kind in (LEN, I64):
        side.counts += doubles(data, begin, stop)


def _counts(side: _Side, found: _Histogram) -> dict[int, float]:
    """Return the populated buckets by their index."""
    contents: Sequence[float] = side.counts if found.floats else _summed(side.deltas)
    if sum(length for _, length in side.spans) != len(contents):
        raise Rejected(Reason.WRONG_TYPE, f"spans of {sum(length for _, length in side.spans)} buckets, and {len(contents)} counts")
    counts: dict[int, float] = {}
    index = position = 0
    for number, (offset, length) in enumerate(side.spans):
        if number and offset < 0:
            raise Rejected(Reason.WRONG_TYPE, f"span {number + 1} begins {-offset} buckets before the end of the one before")
        index += offset
        for content in contents[position : position + length]:
            if not content >= 0:
                raise Rejected(Reason.WRONG_TYPE, f"{content} observations in bucket {index}")
            if content:
                counts[index] = content
            index += 1
        position += length
    return counts


def _summed(deltas: list[int]) -> list[int]:
    total = 0
    return [total := total + delta for delta in deltas]


def _dense(custom: list[float], counts: dict[int, float]) -> list[float]:
    """Return the counts of all custom buckets but the last, which reaches to +Inf."""
    if any(not low < high for low, high in pairwise(custom)) or not all(map(math.isfinite, custom)):
        raise Rejected(Reason.WRONG_TYPE, "custom bounds that do not rise, or are not finite")
    if counts and not 0 <= min(counts) <= max(counts) <= len(custom):
        raise Rejected(Reason.WRONG_TYPE, f"buckets {min(counts)} to {max(counts)}, and {len(custom)} custom bounds")
    return [counts.get(index, 0.0) for index in range(len(custom))]
