"""Batches of protobuf to rows: many records at once, with no Python object a sample."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.normalise.cache import KEYS_AT_ONCE, SeriesCache
from streams.normalise.fates import Rejection
from streams.normalise.formats.key_table import ROOM, SEED_BITS, UNKNOWN, Bytes, Ints, KeyTable
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.remote_write_kernel import read_columns
from streams.normalise.rows import Rows

CAPACITY = 200_000  # keys in one table; then it begins anew


@dataclass(frozen=True, slots=True)
class Batch:
    """What the records of one source gave."""

    rows: Rows
    left: list[int]  # records for the reference reader
    beside: list[tuple[int, int, list[Sample | Rejection]]] = field(default_factory=list)  # record, number of its first, what was read


class Slots:
    """Short names of the keys of one source: where each stands in the series cache.

    That is forgotten at each turn of the cache, so that a series which goes on is found there again, and one that does not is given up.
    """

    def __init__(self, cache: SeriesCache, describe: Callable[[bytes], Described], capacity: int = CAPACITY) -> None:
        """`describe` says what a key means."""
        self._cache = cache
        self._describe = describe
        self._capacity = capacity
        self.table = KeyTable(secrets.randbits(SEED_BITS))
        self._slots = np.full(ROOM, UNKNOWN, np.int32)  # of the cache, by slot of the table
        self._turns = 0

    def find(self, prefix: bytes, data: Bytes, starts: Ints, ends: Ints, key_of: Callable[[int], bytes]) -> Ints:
        """Return the cache's slot of each row's key, which the format's own `key_of` the row gives; `prefix` keeps it apart there."""
        if len(self.table) >= self._capacity:
            self.restart()
        if self._turns != self._cache.turns:
            self._slots[:] = UNKNOWN
            self._turns = self._cache.turns
        own = self.table.find(data, starts, ends)
        found = np.where(own == UNKNOWN, UNKNOWN, self._slots[own]).astype(np.int64)
        missing = np.flatnonzero(found == UNKNOWN)
        if len(missing):
            fresh = self.table.add_all(data, starts[missing], ends[missing])
            self._make_room()
            _, firsts = np.unique(fresh, return_index=True)
            firsts.sort()
            for begin in range(0, len(firsts), KEYS_AT_ONCE):
                some = firsts[begin : begin + KEYS_AT_ONCE]
                self._slots[fresh[some]] = self._looked_up(prefix, [*map(key_of, missing[some].tolist())])
            found[missing] = self._slots[fresh]
        return found

    def _looked_up(self, prefix: bytes, keys: Sequence[bytes]) -> Ints:
        return self._cache.slots_of(prefix, keys, lambda place: self._describe(keys[place]))

    def restart(self) -> None:
        """Forget every key."""
        self.table = KeyTable(secrets.randbits(SEED_BITS))
        self._slots[:] = UNKNOWN

    def _make_room(self) -> None:
        more = len(self.table) - len(self._slots)
        if more > 0:
            self._slots = np.concatenate([self._slots, np.full(max(more, len(self._slots)), UNKNOWN, np.int32)])


class RemoteWriteColumns:
    """remote_write 1.0: a key is a slice of its record."""

    def __init__(self, cache: SeriesCache, describe: Callable[[bytes], Described]) -> None:
        self._cache = cache
        self._describe = describe

    def read(self, prefix: bytes, records: Sequence[int], bodies: Sequence[bytes]) -> Batch:
        found = read_columns(bodies)
        numbers = np.array(records, np.int64)
        slots = self._cache.slots_at(prefix, found.data, found.key_start, found.key_end, lambda row: self._describe(found.key(row)))
        begins = np.searchsorted(found.record, found.record)  # the first row of each row's record
        rows = Rows(numbers[found.record], np.arange(len(found.at)) - begins, slots, found.at.copy(), found.value.copy())
        return Batch(rows, numbers[found.left].tolist())
