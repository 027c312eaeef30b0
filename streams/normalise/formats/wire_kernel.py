"""Protobuf's wire format for compiled code: what wire.py reads, without raising. -1 stands for what the reference reader must decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from streams.normalise.formats.wire import LAST_NUMBER

Int = int | np.int64  # one type to the machine

_LAST_TAG = LAST_NUMBER << 3 | 7


def joined(values: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of many records behind each other, and where each begins; behind the last, where that ends."""
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return np.frombuffer(b"".join(values), np.uint8), offsets


@compiled_bare
def varint(data: NDArray[np.uint8], at: Int, end: Int) -> tuple[np.int64, Int]:
    """Return a number and where it ends; -1 for what the reference must decide."""
    value = np.uint64(0)
    shift = np.uint64(0)
    for index in range(at, min(at + 10, end)):
        byte = np.uint64(data[index])
        if index == at + 9 and byte > 1:
            break
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < 0x80:
            return np.int64(value), index + 1  # two's complement: above 2**63 it is the negative number that it means
        shift += np.uint64(7)
    return np.int64(0), -1


@compiled_bare
def word_at(data: NDArray[np.uint8], at: Int) -> np.uint64:
    """Return eight bytes as a number, the first being the lowest: one load, for an index without a sign is not asked whether it has one."""
    place = np.uint64(at)
    value = np.uint64(0)
    for index in range(8):
        value |= np.uint64(data[place + np.uint64(index)]) << np.uint64(8 * index)
    return value


@compiled_bare
def field(data: NDArray[np.uint8], at: Int, end: Int) -> tuple[np.int64, Int, Int, np.int64]:
    """Return the tag of the field that begins here, where its payload begins and ends, and the value of a varint; tag -1 for trouble."""
    tag, at = varint(data, at, end)
    if at < 0 or tag < 8 or tag > _LAST_TAG:
        return np.int64(-1), 0, 0, np.int64(0)
    kind = tag & 7
    value = np.int64(0)
    stop = at
    if kind == 2:
        size, at = varint(data, at, end)
        if at < 0 or size < 0 or size > end - at:
            return np.int64(-1), 0, 0, np.int64(0)
        stop = at + size
    elif kind == 0:
        value, stop = varint(data, at, end)
        if stop < 0:
            return np.int64(-1), 0, 0, np.int64(0)
    elif kind == 1:
        stop = at + 8
    elif kind == 5:
        stop = at + 4
    else:
        return np.int64(-1), 0, 0, np.int64(0)
    if stop > end:
        return np.int64(-1), 0, 0, np.int64(0)
    return tag, at, stop, value
