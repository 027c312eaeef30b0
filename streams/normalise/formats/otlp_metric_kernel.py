"""One metric of OTLP for compiled code: gauges and sums to rows of points; anything else is told to be for the reference reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from schemas.samples import STALE_BITS
from streams.normalise.formats.harvest import MAX_KEY_BYTES
from streams.normalise.formats.otlp_keys import Kind
from streams.normalise.formats.otlp_layout import (
    FOREIGN,
    NAME,
    NAME_END,
    P_AT,
    P_ATTRIBUTES,
    P_ATTRIBUTES_END,
    P_HEAD,
    P_RECORD,
    RECORD,
    RESOURCE,
    RESOURCE_END,
    SCOPE,
    SCOPE_END,
    UNIT,
    UNIT_END,
)
from streams.normalise.formats.otlp_points import NO_RECORDED_VALUE, Temporality
from streams.normalise.formats.otlp_proto_points import MAX_BYTES
from streams.normalise.formats.wire_kernel import Int, field, word_at

_SLACK = 32  # bytes of tags and lengths in a key, at most
_GAUGE, _COUNTER, _UP_DOWN, _DELTA_COUNTER, _DELTA_UP_DOWN = map(
    int, (Kind.GAUGE, Kind.COUNTER, Kind.UP_DOWN, Kind.DELTA_COUNTER, Kind.DELTA_UP_DOWN)
)
_DELTA, _CUMULATIVE = int(Temporality.DELTA), int(Temporality.CUMULATIVE)
_STALE = np.uint64(STALE_BITS)
_NO_VALUE = NO_RECORDED_VALUE
# Tags, as otlp.py and otlp_proto_points.py have them.
_ONE, _THREE = 0x0A, 0x1A
_GAUGES, _SUMS, _HISTOGRAM, _EXPONENTIAL, _SUMMARY = 0x2A, 0x3A, 0x4A, 0x52, 0x5A
_TEMPORALITY, _MONOTONIC = 0x10, 0x18
_TIME, _AS_DOUBLE, _AS_INT, _ATTRIBUTES, _FLAGS = 0x19, 0x21, 0x31, 0x3A, 0x40


@compiled_bare
def common_size(heads: NDArray[np.int64], head: Int) -> Int:
    """Return how long the keys of this head's points are without what is each point's own, and some more."""
    size: Int = (
        heads[RESOURCE_END, head] - heads[RESOURCE, head] + heads[SCOPE_END, head] - heads[SCOPE, head]
        + heads[NAME_END, head] - heads[NAME, head] + heads[UNIT_END, head] - heads[UNIT, head] + _SLACK
    )  # fmt: skip
    return size


@compiled_bare
def read_metric(
    data: NDArray[np.uint8], at: Int, end: Int,
    heads: NDArray[np.int64], points: NDArray[np.int64], bits: NDArray[np.uint64], counts: NDArray[np.int64], head: Int,
) -> Int:  # fmt: skip
    """Return the kind of a metric whose points were taken, FOREIGN for what the reference must read, -2 for no room."""
    begin: Int = 0
    stop: Int = 0
    data_tag = np.int64(0)
    while at < end:
        tag, start, at, _ = field(data, at, end)
        if tag < 0:
            return FOREIGN
        if tag == _ONE:
            heads[NAME, head], heads[NAME_END, head] = start, at
        elif tag == _THREE:
            heads[UNIT, head], heads[UNIT_END, head] = start, at
        elif tag in (_GAUGES, _SUMS, _HISTOGRAM, _EXPONENTIAL, _SUMMARY):
            if data_tag != 0:
                return FOREIGN
            data_tag, begin, stop = tag, start, at
    if data_tag not in (_GAUGES, _SUMS) or heads[NAME, head] == heads[NAME_END, head]:
        return FOREIGN
    temporality = monotonic = np.int64(0)
    own = common_size(heads, head)
    at = begin
    while at < stop:
        tag, start, at, value = field(data, at, stop)
        if tag < 0:
            return FOREIGN
        if tag == _ONE:
            if counts[1] >= len(bits):
                return -2
            row = counts[1]
            if at - start > MAX_BYTES or not _point(data, start, at, points, bits, row):
                return FOREIGN
            if own + points[P_ATTRIBUTES_END, row] - points[P_ATTRIBUTES, row] > MAX_KEY_BYTES:
                return FOREIGN
            points[P_RECORD, row], points[P_HEAD, row] = heads[RECORD, head], head
            counts[1] += 1
        elif tag == _TEMPORALITY:
            temporality = value & 0xFFFF_FFFF
        elif tag == _MONOTONIC:
            monotonic = value
    if data_tag == _GAUGES:
        return _GAUGE
    if temporality not in (_DELTA, _CUMULATIVE):
        return FOREIGN
    if temporality == _DELTA:
        return _DELTA_COUNTER if monotonic != 0 else _DELTA_UP_DOWN
    return _COUNTER if monotonic != 0 else _UP_DOWN


@compiled_bare
def _point(data: NDArray[np.uint8], at: Int, end: Int, points: NDArray[np.int64], bits: NDArray[np.uint64], row: Int) -> bool:
    """Write one number; return whether it is one that needs nobody's decision."""
    begin: Int = 0
    stop: Int = 0
    nanos = np.uint64(0)
    flags = np.int64(0)
    has_value = False
    value = np.uint64(0)
    number = np.int64(0)
    whole = False
    while at < end:
        start = at
        tag, inner, at, content = field(data, at, end)
        if tag < 0:
            return False
        if tag == _TIME:
            nanos = word_at(data, inner)
        elif tag == _AS_DOUBLE:
            value, has_value, whole = word_at(data, inner), True, False
        elif tag == _AS_INT:
            number, has_value, whole = np.int64(word_at(data, inner)), True, True
        elif tag == _ATTRIBUTES:
            if begin == stop:
                begin = start
            elif stop != start:
                return False
            stop = at
        elif tag == _FLAGS:
            flags = content
    points[P_ATTRIBUTES, row], points[P_ATTRIBUTES_END, row] = begin, stop
    points[P_AT, row] = np.int64(nanos // np.uint64(1_000_000))
    if flags & _NO_VALUE:
        bits[row] = _STALE
        return True
    bits[row] = value
    if whole:
        bits.view(np.float64)[row] = np.float64(number)
    return has_value
