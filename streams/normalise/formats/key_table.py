"""Which slot a series key has: a table in arrays that a whole batch is looked up in at once.

Open addressing, linear probing, at most half full. Of a key it holds 128 bits of a keyed hash in place of its bytes, which would be most of
what a series takes. That of a million keys two agree by chance has a probability of 2**-89; who chooses the labels neither knows the
seed nor sees a hash, so cannot aim at another's key, nor choose keys that all stand in one place. Keys behind different prefixes have
different seeds, which are hashes of these, so nothing is copied to keep them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import longer, room_for
from models.compiled import compiled_bare
from streams.normalise.formats.wire_kernel import Int, word_at

UNKNOWN = -1
SEED_BITS = 128
ROOM = 1024  # keys, at first

_WORD = 2**64 - 1

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Words = tuple[np.uint64, np.uint64]
State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


class Arrays(NamedTuple):
    """What a table consists of, for compiled code."""

    table: NDArray[np.int32]  # slots by hash; its length is a power of two
    hashes: NDArray[np.uint64]  # by slot, two words each
    seed: Words


class KeyTable:
    """Slots are given from 0 on, and never taken back: who needs room begins a new table."""

    def __init__(self, seed: int) -> None:
        """`seed`: SEED_BITS that nobody can guess who chooses keys."""
        hashes = np.zeros((ROOM, 2), np.uint64)
        self.arrays = Arrays(_placed(hashes, 0, 2 * ROOM), hashes, (np.uint64(seed & _WORD), np.uint64(seed >> 64)))
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def find(self, data: Bytes, starts: Ints, ends: Ints, prefix: bytes = b"") -> Ints:
        """Return the slot of each key `data[start:end]` behind this prefix, UNKNOWN where it has none."""
        slots = np.empty(len(starts), np.int64)
        _find(data, starts, ends, slots, self._behind(prefix))
        return slots

    def add(self, key: bytes) -> int:
        """Return the slot of a key, a new one where it has none."""
        return int(self.add_all(np.frombuffer(key, np.uint8), np.zeros(1, np.int64), np.full(1, len(key), np.int64))[0])

    def add_all(self, data: Bytes, starts: Ints, ends: Ints, prefix: bytes = b"") -> Ints:
        """Return the slot of each key behind this prefix, a new one where it has none."""
        self._make_room(len(starts))
        slots = np.empty(len(starts), np.int64)
        self._size = int(_add(data, starts, ends, slots, self._behind(prefix), self._size))
        return slots

    def _behind(self, prefix: bytes) -> Arrays:
        if not prefix:
            return self.arrays
        low, high = hash_of(np.frombuffer(prefix, np.uint8), 0, len(prefix), self.arrays.seed)
        return self.arrays._replace(seed=(np.uint64(low), np.uint64(high)))

    def _make_room(self, keys: int) -> None:
        """Enlarge what may be full."""
        count, (table, hashes, seed) = self._size + keys, self.arrays
        if count > len(hashes):
            hashes = longer(hashes, room_for(count, len(hashes)))
        if 2 * count > len(table):
            table = _placed(hashes, self._size, 2 * count)
        self.arrays = Arrays(table, hashes, seed)


def _placed(hashes: NDArray[np.uint64], size: int, places: int) -> NDArray[np.int32]:
    """Return a table of the first so many slots, with at least so many places."""
    table = np.full(1 << (places - 1).bit_length(), UNKNOWN, np.int32)
    _insert(table, hashes, 0, size)
    return table


@compiled_bare
def hash_of(data: Bytes, start: Int, end: Int, seed: Words) -> Words:
    """Return SipHash-1-3 of 128 bits (Aumasson and Bernstein, 2012), whose rounds are those that hash tables take."""
    a = seed[0] ^ np.uint64(0x736F6D6570736575)
    b = seed[1] ^ np.uint64(0x646F72616E646F6D) ^ np.uint64(0xEE)
    c = seed[0] ^ np.uint64(0x6C7967656E657261)
    d = seed[1] ^ np.uint64(0x7465646279746573)
    at = start
    while at + 8 <= end:
        word = word_at(data, at)
        a, b, c, d = _round(a, b, c, d ^ word)
        a ^= word
        at += 8
    word = np.uint64(end - start) << np.uint64(56)
    if start < at < end:
        word |= word_at(data, end - 8) >> np.uint64(8 * (at + 8 - end))
    else:
        for index in range(end - at):
            word |= np.uint64(data[np.uint64(at + index)]) << np.uint64(8 * index)
    a, b, c, d = _round(a, b, c, d ^ word)
    a, b, c, d = _rounds(a ^ word, b, c ^ np.uint64(0xEE), d)
    low = a ^ b ^ c ^ d
    a, b, c, d = _rounds(a, b ^ np.uint64(0xDD), c, d)
    return low, a ^ b ^ c ^ d


@compiled_bare
def _rounds(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> State:
    for _ in range(3):
        a, b, c, d = _round(a, b, c, d)
    return a, b, c, d


@compiled_bare
def _round(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> State:
    a, c = a + b, c + d
    b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
    a, c = _turned(a, 32) + d, c + b
    d, b = _turned(d, 21) ^ a, _turned(b, 17) ^ c
    return a, b, _turned(c, 32), d


@compiled_bare
def _turned(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@compiled_bare
def slot_of(wanted: Words, arrays: Arrays) -> np.int64:
    """Return the slot of the key that has this hash, UNKNOWN where it has none."""
    mask = np.uint64(len(arrays.table) - 1)
    place = wanted[0] & mask
    while arrays.table[place] >= 0:
        slot = np.int64(arrays.table[place])
        if arrays.hashes[slot, 0] == wanted[0] and arrays.hashes[slot, 1] == wanted[1]:
            return slot
        place = (place + np.uint64(1)) & mask
    return np.int64(UNKNOWN)


@compiled_bare
def _insert(table: NDArray[np.int32], hashes: NDArray[np.uint64], first: Int, end: Int) -> None:
    mask = np.uint64(len(table) - 1)
    for slot in range(first, end):
        place = hashes[slot, 0] & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = slot


@compiled_bare
def _find(data: Bytes, starts: Ints, ends: Ints, slots: Ints, arrays: Arrays) -> None:
    for row in range(len(slots)):
        start, end = starts[row], ends[row]
        if row and start == starts[row - 1] and end == ends[row - 1]:  # another sample of the same series
            slots[row] = slots[row - 1]
        else:
            slots[row] = slot_of(hash_of(data, start, end, arrays.seed), arrays)


@compiled_bare
def _add(data: Bytes, starts: Ints, ends: Ints, slots: Ints, arrays: Arrays, size: Int) -> Int:
    """Fill the slots; return how many keys there are then. There is room for all."""
    for row in range(len(slots)):
        wanted = hash_of(data, starts[row], ends[row], arrays.seed)
        slot = slot_of(wanted, arrays)
        if slot == UNKNOWN:
            slot = np.int64(size)
            arrays.hashes[slot, 0], arrays.hashes[slot, 1] = wanted
            _insert(arrays.table, arrays.hashes, size, size + 1)
            size += 1
        slots[row] = slot
    return size
