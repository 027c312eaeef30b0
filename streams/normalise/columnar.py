"""Batches of protobuf to rows: many records at once, with no Python object a sample.

A series key is looked up in a table of arrays (key_table.py), whose slot leads to the slot of the series cache. That way is forgotten at
each turn of the cache, so that a series which goes on is found there again, and one that does not is given up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streams.normalise.cache import SeriesCache
from streams.normalise.fates import Rejection
from streams.normalise.formats.key_table import UNKNOWN, KeyTable
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.remote_write_kernel import read_columns
from streams.normalise.rows import Rows

CAPACITY = 200_000  # keys in one table; then it begins anew
CAPACITY_BYTES = 256 * 1024 * 1024  # of keys in one table, the same

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """What the records of one source gave."""

    rows: Rows
    left: list[int]  # records for the reference reader
    beside: list[tuple[int, int, list[Sample | Rejection]]] = field(default_factory=list)  # record, number of its first, what was read


class Slots:
    """The keys of one source: where each stands in the series cache."""

    def __init__(self, cache: SeriesCache, describe: Callable[[bytes], Described], capacity: int = CAPACITY) -> None:
        """`describe` says what a key means."""
        self._cache = cache
        self._describe = describe
        self._capacity = capacity
        self.table = KeyTable(secrets.randbits(64))
        self._slots = np.full(1024, UNKNOWN, np.int64)  # of the cache, by slot of the table
        self._turns = 0

    def find(self, prefix: bytes, data: Bytes, starts: Ints, ends: Ints, key_of: Callable[[int], bytes]) -> Ints:
        """Return the cache's slot of each row's key, which the format's own `key_of` the row gives; `prefix` keeps it apart there."""
        return self.settle(prefix, self.ready().find(data, starts, ends), data, starts, ends, key_of)

    def ready(self) -> KeyTable:
        """Return the table to look a batch up in, with what the cache has forgotten forgotten here."""
        if len(self.table) >= self._capacity or self.table.bytes_held >= CAPACITY_BYTES:
            self.restart()
        if self._turns != self._cache.turns:
            self._slots[:] = UNKNOWN
            self._turns = self._cache.turns
        return self.table

    def settle(self, prefix: bytes, own: Ints, data: Bytes, starts: Ints, ends: Ints, key_of: Callable[[int], bytes]) -> Ints:
        """Return the cache's slot of each row, given its slot in the table, UNKNOWN for a key that is new there."""
        found = np.where(own == UNKNOWN, UNKNOWN, self._slots[own])
        missing = np.flatnonzero(found == UNKNOWN)
        if len(missing):
            fresh = self.table.add_all(data, starts[missing], ends[missing])
            self._make_room()
            _, firsts = np.unique(fresh, return_index=True)
            firsts.sort()
            keys = map(key_of, missing[firsts].tolist())
            self._slots[fresh[firsts]] = [self._cache.slot_of(prefix + key, partial(self._describe, key)) for key in keys]
            found[missing] = self._slots[fresh]
        return found

    def restart(self) -> None:
        """Forget every key."""
        self.table = KeyTable(secrets.randbits(64))
        self._slots[:] = UNKNOWN

    def _make_room(self) -> None:
        more = len(self.table) - len(self._slots)
        if more > 0:
            self._slots = np.concatenate([self._slots, np.full(max(more, len(self._slots)), UNKNOWN, np.int64)])


class RemoteWriteColumns:
    """remote_write 1.0: a key is a slice of its record."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def read(self, prefix: bytes, records: Sequence[int], bodies: Sequence[bytes]) -> Batch:
        found = read_columns(bodies)
        numbers = np.array(records, np.int64)
        slots = self.slots.find(prefix, found.data, found.key_start, found.key_end, found.key)
        begins = np.searchsorted(found.record, found.record)  # the first row of each row's record
        rows = Rows(numbers[found.record], np.arange(len(found.at)) - begins, slots, found.at.copy(), found.value.copy())
        return Batch(rows, numbers[found.left].tolist())
