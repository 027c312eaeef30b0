"""The fast path of remote_write 1.0: the bytes of many requests to columns, without a Python object a sample.

It follows only what agents write: labels side by side, float samples, fields of known kinds. A record that has anything else is left
alone, all of it, and told of: the reference reader in remote_write.py has it then. So both agree on whatever is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from streams.normalise.formats.harvest import MAX_ALL_KEYS_BYTES, MAX_ITEMS, MAX_KEY_BYTES
from streams.normalise.formats.wire_kernel import Int, joined, varint, word_at

# Tags, as remote_write.py has them.
_TIMESERIES, _METADATA = 0x0A, 0x1A
_LABEL, _SAMPLE, _EXEMPLAR = 0x0A, 0x12, 0x1A
_VALUE, _TIMESTAMP = 0x09, 0x10


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples in their order; a key is `data[key_start:key_end]`. All columns have one length, `left` is of records."""

    data: NDArray[np.uint8]
    record: NDArray[np.int64]
    key_start: NDArray[np.int64]
    key_end: NDArray[np.int64]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    left: NDArray[np.bool_]  # to the reference reader

    def key(self, row: Int) -> bytes:
        return self.data[self.key_start[row] : self.key_end[row]].tobytes()


def read_columns(values: Sequence[bytes]) -> Columns:
    """Read unpacked WriteRequests."""
    data, offsets = joined(values)
    left = np.zeros(len(values), np.bool_)
    room = 1024 + len(data) // 64
    while True:
        places = np.empty((4, room), np.int64)  # record, key start, key end, time
        bits = np.empty(room, np.uint64)
        rows = _walk(data, offsets, places, bits, left)
        if rows >= 0:
            record, key_start, key_end, at = places[:, :rows]
            return Columns(data, record, key_start, key_end, at, bits[:rows].view(np.float64), left)
        room *= 4


@compiled_bare
def _walk(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    bits: NDArray[np.uint64],
    left: NDArray[np.bool_],
) -> Int:
    """Fill the columns; return how many rows there are, -1 where they do not fit."""
    rows: Int = 0
    for record in range(len(offsets) - 1):
        first = rows
        at, end = offsets[record], offsets[record + 1]
        room = MAX_ALL_KEYS_BYTES
        while at < end:
            tag, at = varint(data, at, end)
            if at < 0 or tag not in (_TIMESERIES, _METADATA):
                at = -1
                break
            size, at = varint(data, at, end)
            if at < 0 or size < 0 or size > end - at:
                at = -1
                break
            if tag == _TIMESERIES:
                before = rows
                rows = _series(data, at, at + size, places, bits, rows)
                if rows == -2:
                    return -1
                if rows < 0:
                    at = -1
                    break
                for row in range(before, rows):
                    places[0, row] = record
                    room -= places[2, row] - places[1, row]
                if room < 0 or rows - first > MAX_ITEMS:
                    at = -1
                    break
            at += size
        left[record] = at < 0
        if at < 0:
            rows = first
    return rows


@compiled_bare
def _series(data: NDArray[np.uint8], at: Int, end: Int, places: NDArray[np.int64], bits: NDArray[np.uint64], rows: Int) -> Int:
    """Append the samples of one series; return the rows there are then, -1 for what the reference must decide, -2 for no room."""
    key_start = key_end = at
    first = rows
    while at < end:
        begin = at
        tag, at = varint(data, at, end)
        if at < 0:
            return -1
        size, at = varint(data, at, end)
        if at < 0 or size < 0 or size > end - at:
            return -1
        if tag == _LABEL:
            if key_start == key_end:
                key_start = begin
            elif key_end != begin:
                return -1
            key_end = at + size
        elif tag == _SAMPLE:
            if rows >= len(bits):
                return -2
            time, value = _sample(data, at, at + size, bits, rows)
            if not value:
                return -1
            places[3, rows] = time
            rows += 1
        elif tag != _EXEMPLAR:  # histograms, and whatever else, are not for here
            return -1
        at += size
    if key_end - key_start > MAX_KEY_BYTES:
        return -1
    places[1, first:rows] = key_start
    places[2, first:rows] = key_end
    return rows


@compiled_bare
def _sample(data: NDArray[np.uint8], at: Int, end: Int, bits: NDArray[np.uint64], row: Int) -> tuple[np.int64, bool]:
    """Write the bits of the value; return the time, and whether this is a sample at all."""
    time = np.int64(0)
    bits[row] = 0
    while at < end:
        tag = data[at]
        at += 1
        if tag == _VALUE:
            if at + 8 > end:
                return np.int64(0), False
            bits[row] = word_at(data, at)
            at += 8
        elif tag == _TIMESTAMP:
            time, at = varint(data, at, end)
            if at < 0:
                return np.int64(0), False
        else:
            return np.int64(0), False
    return time, True
