"""Which slot a series key has: a table in arrays that a whole batch is looked up in at once.

Open addressing by a 64-bit hash, linear probing, at most half full; a hash that agrees proves nothing, the stored bytes are compared.
The hash has a seed, for who chooses the labels could else choose keys that all collide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import longer
from models.compiled import compiled_bare
from streams.normalise.formats.wire_kernel import Int, word_at

UNKNOWN = -1


class Arrays(NamedTuple):
    """What a table consists of, for compiled code."""

    table: NDArray[np.int64]  # slots by hash; its length is a power of two
    hashes: NDArray[np.uint64]  # by slot
    ends: NDArray[np.int64]  # of the keys in the arena: by slot, behind where the first begins
    arena: NDArray[np.uint8]
    seed: np.uint64


class KeyTable:
    """Slots are given from 0 on, and never taken back: who needs room begins a new table."""

    def __init__(self, seed: int) -> None:
        hashes = np.zeros(1024, np.uint64)
        self.arrays = Arrays(_placed(hashes, 0), hashes, np.zeros(1025, np.int64), np.zeros(65_536, np.uint8), np.uint64(seed))
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def bytes_held(self) -> int:
        """Return how long all keys are together."""
        return int(self.arrays.ends[self._size])

    def find(self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slot of each key `data[start:end]`, UNKNOWN where it has none."""
        slots = np.empty(len(starts), np.int64)
        _find(data, starts, ends, slots, self.arrays)
        return slots

    def add(self, key: bytes) -> int:
        """Return the slot of a key, a new one where it has none."""
        return int(self.add_all(np.frombuffer(key, np.uint8), np.zeros(1, np.int64), np.full(1, len(key), np.int64))[0])

    def add_all(self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slot of each key, a new one where it has none."""
        self._make_room(len(starts), int((ends - starts).sum()))
        slots = np.empty(len(starts), np.int64)
        self._size = int(_add(data, starts, ends, slots, self.arrays, self._size))
        return slots

    def _make_room(self, keys: int, size: int) -> None:
        """Double whatever may be full, so that adding stays cheap on the whole."""
        table, hashes, ends, arena, seed = self.arrays
        if self._size + keys > len(hashes):
            room = _doubled(len(hashes), self._size + keys)
            hashes, ends = longer(hashes, room), longer(ends, room + 1)
            table = _placed(hashes, self._size)
        needed = int(ends[self._size]) + size
        if needed > len(arena):
            arena = longer(arena, _doubled(len(arena), needed))
        self.arrays = Arrays(table, hashes, ends, arena, seed)


def _placed(hashes: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Return a table of the first so many slots, with room for all."""
    table = np.full(2 * len(hashes), UNKNOWN, np.int64)
    _insert(table, hashes, 0, size)
    return table


def _doubled(room: int, needed: int) -> int:
    while room < needed:
        room *= 2
    return room


@compiled_bare
def hash_of(data: NDArray[np.uint8], start: Int, end: Int, seed: np.uint64) -> np.uint64:
    """Mix eight bytes at a time, each by a multiplication and a shift as in MurmurHash64A, whose finaliser ends it."""
    multiplier = np.uint64(0xC6A4A7935BD1E995)
    found = seed ^ (np.uint64(end - start) * multiplier)
    at = start
    while at + 8 <= end:
        word = word_at(data, at) * multiplier
        word ^= word >> np.uint64(47)
        found = (found ^ (word * multiplier)) * multiplier
        at += 8
    if at < end:
        word = np.uint64(0)
        for index in range(end - at):
            word |= np.uint64(data[at + index]) << np.uint64(8 * index)
        found = (found ^ word) * multiplier
    found ^= found >> np.uint64(47)
    found *= multiplier
    return found ^ (found >> np.uint64(47))


@compiled_bare
def slot_of(data: NDArray[np.uint8], start: Int, end: Int, wanted: np.uint64, arrays: Arrays) -> np.int64:
    """Return the slot of the key that has this hash, UNKNOWN where it has none."""
    mask = np.uint64(len(arrays.table) - 1)
    place = wanted & mask
    size = end - start
    while arrays.table[place] >= 0:
        slot = arrays.table[place]
        begin = arrays.ends[slot]
        if arrays.hashes[slot] == wanted and arrays.ends[slot + 1] - begin == size and _equal(data, start, arrays.arena, begin, size):
            return np.int64(slot)
        place = (place + np.uint64(1)) & mask
    return np.int64(UNKNOWN)


@compiled_bare
def _equal(data: NDArray[np.uint8], start: Int, arena: NDArray[np.uint8], begin: Int, size: Int) -> bool:
    at = 0
    while at + 8 <= size:
        if word_at(data, start + at) != word_at(arena, begin + at):
            return False
        at += 8
    while at < size:
        if data[start + at] != arena[begin + at]:
            return False
        at += 1
    return True


@compiled_bare
def _insert(table: NDArray[np.int64], hashes: NDArray[np.uint64], first: Int, end: Int) -> None:
    mask = np.uint64(len(table) - 1)
    for slot in range(first, end):
        place = hashes[slot] & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = slot


@compiled_bare
def _find(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], slots: NDArray[np.int64], arrays: Arrays) -> None:
    for row in range(len(slots)):
        start, end = starts[row], ends[row]
        if row and start == starts[row - 1] and end == ends[row - 1]:  # another sample of the same series
            slots[row] = slots[row - 1]
        else:
            slots[row] = slot_of(data, start, end, hash_of(data, start, end, arrays.seed), arrays)


@compiled_bare
def _add(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], slots: NDArray[np.int64], arrays: Arrays, size: Int
) -> Int:
    """Fill the slots; return how many keys there are then. There is room for all."""
    for row in range(len(slots)):
        start, end = starts[row], ends[row]
        wanted = hash_of(data, start, end, arrays.seed)
        slot = slot_of(data, start, end, wanted, arrays)
        if slot == UNKNOWN:
            slot = np.int64(size)
            begin = arrays.ends[slot]
            for index in range(end - start):
                arrays.arena[begin + index] = data[start + index]
            arrays.ends[slot + 1] = begin + end - start
            arrays.hashes[slot] = wanted
            _insert(arrays.table, arrays.hashes, size, size + 1)
            size += 1
        slots[row] = slot
    return size
