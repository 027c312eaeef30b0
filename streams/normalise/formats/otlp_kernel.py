"""The fast path of OTLP in protobuf: gauges and sums of many records to columns, without a Python object a sample.

It follows only what SDKs and collectors write: a resource before what it has, a scope before its metrics, attributes side by side. A
metric that has anything else, histograms among it, is left to the reference reader by itself (`FOREIGN`); a record that cannot be followed
is left as a whole. So both agree on whatever is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from streams.normalise.formats.harvest import MAX_ALL_KEYS_BYTES, MAX_ITEMS, MAX_KEY_BYTES
from streams.normalise.formats.otlp_layout import (
    BEGIN,
    END,
    FIRST,
    FOREIGN,
    HEAD_COLUMNS,
    KIND,
    NAME,
    NAME_END,
    NUMBER,
    P_ATTRIBUTES,
    P_ATTRIBUTES_END,
    POINT_COLUMNS,
    POINTS,
    RECORD,
    RESOURCE,
    RESOURCE_END,
    SCOPE,
    SCOPE_END,
    UNIT,
    UNIT_END,
)
from streams.normalise.formats.otlp_metric_kernel import common_size, read_metric
from streams.normalise.formats.wire_kernel import Int, field, joined

_ONE, _TWO = 0x0A, 0x12  # tags


@dataclass(frozen=True, slots=True)
class Walked:
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]  # where each record begins in it
    heads: NDArray[np.int64]  # a column each, in their order
    points: NDArray[np.int64]
    value: NDArray[np.float64]
    left: NDArray[np.bool_]  # of records: to the reference reader


def walk(values: Sequence[bytes]) -> Walked:
    """Read MetricsData."""
    data, offsets = joined(values)
    left = np.zeros(len(values), np.bool_)
    room = 1024 + len(data) // 48
    while True:
        heads, points = np.empty((HEAD_COLUMNS, room), np.int64), np.empty((POINT_COLUMNS, room), np.int64)
        bits = np.empty(room, np.uint64)
        counts = np.zeros(2, np.int64)
        if _walk(data, offsets, heads, points, bits, left, counts):
            found, rows = int(counts[0]), int(counts[1])
            return Walked(data, offsets[:-1], heads[:, :found], points[:, :rows], bits[:rows].view(np.float64), left)
        room *= 4


@compiled_bare
def _walk(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    heads: NDArray[np.int64],
    points: NDArray[np.int64],
    bits: NDArray[np.uint64],
    left: NDArray[np.bool_],
    counts: NDArray[np.int64],
) -> bool:
    """Fill the columns; return whether they fit."""
    for record in range(len(offsets) - 1):
        first_head, first_point = counts[0], counts[1]
        at, end = offsets[record], offsets[record + 1]
        good = False
        while at < end:
            tag, begin, at, _ = field(data, at, end)
            if tag < 0:
                good = False
                break
            if tag == _ONE:
                found = _resource(data, begin, at, heads, points, bits, counts, record)
                if found == -2:
                    return False
                good = bool(found >= 0)
                if not good:
                    break
        if good and counts[1] - first_point <= MAX_ITEMS:
            room: Int = MAX_ALL_KEYS_BYTES
            for head in range(first_head, counts[0]):
                own = common_size(heads, head)
                room -= own
                for point in range(heads[FIRST, head], heads[FIRST, head] + heads[POINTS, head]):
                    room -= own + points[P_ATTRIBUTES_END, point] - points[P_ATTRIBUTES, point]
            good = bool(room >= 0)
        left[record] = not good
        if not good:
            counts[0], counts[1] = first_head, first_point
    return True


@compiled_bare
def _side_by_side(data: NDArray[np.uint8], at: Int, end: Int, last: Int) -> tuple[Int, Int]:
    """Return where the fields 1 to `last` (length-delimited) stand, if they stand side by side; -1 otherwise."""
    begin: Int = 0
    stop: Int = 0
    while at < end:
        start = at
        tag, _, at, _ = field(data, at, end)
        if tag < 0:
            return -1, -1
        if tag & 7 == 2 and tag >> 3 <= last:
            if begin == stop:
                begin = start
            elif stop != start:
                return -1, -1
            stop = at
    return begin, stop


@compiled_bare
def _resource(
    data: NDArray[np.uint8], at: Int, end: Int,
    heads: NDArray[np.int64], points: NDArray[np.int64], bits: NDArray[np.uint64], counts: NDArray[np.int64], record: Int,
) -> Int:  # fmt: skip
    """Return 0; -1 for what the reference must decide, -2 for no room."""
    begin: Int = 0
    stop: Int = 0
    has_resource = has_scopes = False
    while at < end:
        tag, start, at, _ = field(data, at, end)
        if tag < 0:
            return -1
        if tag == _ONE:
            if has_resource or has_scopes:
                return -1
            has_resource = True
            begin, stop = _side_by_side(data, start, at, 1)
            if begin < 0:
                return -1
        elif tag == _TWO:
            has_scopes = True
            found = _scope(data, start, at, begin, stop, heads, points, bits, counts, record)
            if found < 0:
                return found
    return 0


@compiled_bare
def _scope(
    data: NDArray[np.uint8], at: Int, end: Int, resource: Int, resource_end: Int,
    heads: NDArray[np.int64], points: NDArray[np.int64], bits: NDArray[np.uint64], counts: NDArray[np.int64], record: Int,
) -> Int:  # fmt: skip
    begin: Int = 0
    stop: Int = 0
    has_scope = False
    number: Int = 0
    while at < end:
        tag, start, at, _ = field(data, at, end)
        if tag < 0:
            return -1
        if tag == _ONE:
            if has_scope or number:
                return -1
            has_scope = True
            begin, stop = _side_by_side(data, start, at, 3)
            if begin < 0:
                return -1
        elif tag == _TWO:
            if resource_end - resource + stop - begin > MAX_KEY_BYTES:
                return -1
            number += 1
            if counts[0] >= heads.shape[1]:
                return -2
            head = counts[0]
            heads[RECORD, head], heads[NUMBER, head], heads[KIND, head] = record, number, FOREIGN
            heads[BEGIN, head], heads[END, head] = start, at
            heads[RESOURCE, head], heads[RESOURCE_END, head] = resource, resource_end
            heads[SCOPE, head], heads[SCOPE_END, head] = begin, stop
            heads[NAME, head] = heads[NAME_END, head] = heads[UNIT, head] = heads[UNIT_END, head] = 0
            heads[FIRST, head], heads[POINTS, head] = counts[1], 0
            counts[0] += 1
            kind = read_metric(data, start, at, heads, points, bits, counts, head)
            if kind == -2:
                return -2
            if kind == FOREIGN:
                counts[1] = heads[FIRST, head]
            heads[KIND, head] = kind
            heads[POINTS, head] = counts[1] - heads[FIRST, head]
    return 0


@compiled_bare
def pack(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    tags: NDArray[np.int64],
    out: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> None:
    """Write the pieces of each row behind each other, each with its tag and length before it; `starts` are the rows' places in `out`."""
    for row in range(begins.shape[1]):
        at = starts[row]
        for piece in range(begins.shape[0]):
            size = ends[piece, row] - begins[piece, row]
            for shift in range(0, 64, 8):
                out[at] = (np.uint64(tags[piece, row]) >> np.uint64(shift)) & np.uint64(0xFF)
                at += 1
            for shift in range(0, 32, 8):
                out[at] = (np.uint64(size) >> np.uint64(shift)) & np.uint64(0xFF)
                at += 1
            begin = begins[piece, row]
            for index in range(size):
                out[at + index] = data[begin + index]
            at += size
