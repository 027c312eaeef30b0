"""Which slot a series key has: a table in arrays that a whole batch is looked up in at once.

Open addressing by a 64-bit hash, linear probing, at most half full; a hash that agrees proves nothing, the stored bytes are compared.
The hash has a seed, for who chooses the labels could else choose keys that all collide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

UNKNOWN = -1


class KeyTable:
    """Slots are given from 0 on, and never taken back: who needs room begins a new table."""

    def __init__(self, seed: int) -> None:
        self._seed = np.uint64(seed)
        self._table = np.full(2048, UNKNOWN, np.int64)  # slots by hash; its length is a power of two
        self._hashes = np.zeros(1024, np.uint64)  # by slot, as are the ends of the keys in the arena
        self._ends = np.zeros(1025, np.int64)
        self._arena = np.zeros(65_536, np.uint8)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def find(self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slot of each key `data[start:end]`, UNKNOWN where it has none."""
        slots = np.empty(len(starts), np.int64)
        _find(data, starts, ends, slots, self._table, self._hashes, self._ends, self._arena, self._seed)
        return slots

    def add(self, key: bytes) -> int:
        """Return the slot of a key, a new one where it has none."""
        data = np.frombuffer(key, np.uint8)
        slots = np.empty(1, np.int64)
        start, end = np.zeros(1, np.int64), np.full(1, len(data), np.int64)
        _find(data, start, end, slots, self._table, self._hashes, self._ends, self._arena, self._seed)
        if slots[0] != UNKNOWN:
            return int(slots[0])
        slot = self._size
        self._make_room(len(data))
        begin = int(self._ends[slot])
        self._arena[begin : begin + len(data)] = data
        self._ends[slot + 1] = begin + len(data)
        self._hashes[slot] = _hash(data, 0, len(data), self._seed)
        _insert(self._table, self._hashes, slot, slot + 1)
        self._size = slot + 1
        return slot

    def _make_room(self, more: int) -> None:
        """Double whatever is full, so that adding stays cheap on the whole."""
        if self._size == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
            self._ends = np.concatenate([self._ends, np.zeros(len(self._hashes) + 1 - len(self._ends), np.int64)])
            self._table = np.full(2 * len(self._table), UNKNOWN, np.int64)
            _insert(self._table, self._hashes, 0, self._size)
        needed = int(self._ends[self._size]) + more
        if needed > len(self._arena):
            self._arena = np.concatenate([self._arena, np.zeros(max(len(self._arena), needed), np.uint8)])


@compiled
def _hash(data: NDArray[np.uint8], start: int, end: int, seed: np.uint64) -> np.uint64:
    """Mix eight bytes at a time, each by a multiplication and a shift as in MurmurHash64A, whose finaliser ends it."""
    multiplier = np.uint64(0xC6A4A7935BD1E995)
    found = seed ^ (np.uint64(end - start) * multiplier)
    at = start
    while at + 8 <= end:
        word = np.uint64(0)
        for index in range(8):
            word |= np.uint64(data[at + index]) << np.uint64(8 * index)
        word *= multiplier
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


@compiled
def _insert(table: NDArray[np.int64], hashes: NDArray[np.uint64], first: int, end: int) -> None:
    mask = np.uint64(len(table) - 1)
    for slot in range(first, end):
        place = hashes[slot] & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = slot


@compiled
def _find(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    slots: NDArray[np.int64],
    table: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    arena_ends: NDArray[np.int64],
    arena: NDArray[np.uint8],
    seed: np.uint64,
) -> None:
    mask = np.uint64(len(table) - 1)
    for row in range(len(slots)):
        start, end = starts[row], ends[row]
        if row and start == starts[row - 1] and end == ends[row - 1]:  # another sample of the same series
            slots[row] = slots[row - 1]
            continue
        wanted = _hash(data, start, end, seed)
        place = wanted & mask
        slots[row] = -1
        while table[place] >= 0:
            slot = table[place]
            begin = arena_ends[slot]
            if hashes[slot] == wanted and arena_ends[slot + 1] - begin == end - start:
                same = True
                for index in range(end - start):
                    if data[start + index] != arena[begin + index]:
                        same = False
                        break
                if same:
                    slots[row] = slot
                    break
            place = (place + np.uint64(1)) & mask
