"""remote_write by the batch: many requests to rows at once, with no Python object a sample.

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
from streams.normalise.formats.key_table import UNKNOWN, KeyTable
from streams.normalise.formats.port import Described
from streams.normalise.formats.remote_write_kernel import Columns, read_columns
from streams.normalise.rows import Rows

CAPACITY = 200_000  # keys in one table; then it begins anew


@dataclass(slots=True)
class _Keys:
    """The keys of one source."""

    table: KeyTable = field(default_factory=lambda: KeyTable(secrets.randbits(64)))
    slots: NDArray[np.int64] = field(default_factory=lambda: np.full(1024, UNKNOWN, np.int64))  # of the cache, by slot of the table
    turns: int = 0


class Columnar:
    def __init__(self, cache: SeriesCache, describe: Callable[[bytes], Described], capacity: int = CAPACITY) -> None:
        """`describe` says what a key means."""
        self._cache = cache
        self._describe = describe
        self._capacity = capacity
        self._keys: dict[str, _Keys] = {}  # by source

    def read(self, source: str, prefix: bytes, records: Sequence[int], bodies: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Return the rows of unpacked requests of one source, and the records that are left to the reference reader."""
        found = read_columns(bodies)
        numbers = np.array(records, np.int64)
        slots = self._slots(source, prefix, found)
        begins = np.searchsorted(found.record, found.record)  # the first row of each row's record
        rows = Rows(numbers[found.record], np.arange(len(found.at)) - begins, slots, found.at.copy(), found.value.copy())
        return rows, numbers[found.left].tolist()

    def _slots(self, source: str, prefix: bytes, found: Columns) -> NDArray[np.int64]:
        self._cache.source = source
        keys = self._keys.setdefault(source, _Keys())
        if len(keys.table) >= self._capacity:
            keys = self._keys[source] = _Keys()
        if keys.turns != self._cache.turns:
            keys.slots[:] = UNKNOWN
            keys.turns = self._cache.turns
        own = keys.table.find(found)
        known = np.where(own == UNKNOWN, UNKNOWN, keys.slots[own])
        missing = np.flatnonzero(known == UNKNOWN)
        if len(missing):
            self._learn(keys, prefix, found, missing)
            own[missing] = keys.table.find(found.at_rows(missing))
            known = keys.slots[own]
        return known

    def _learn(self, keys: _Keys, prefix: bytes, found: Columns, missing: NDArray[np.int64]) -> None:
        """Give each key that has none a slot of the cache; a series' rows stand side by side, so most are seen at once."""
        starts = found.key_start[missing]
        for row in missing[np.append(True, starts[1:] != starts[:-1])].tolist():
            key = found.key(row)
            own = keys.table.add(key)
            if own >= len(keys.slots):
                keys.slots = np.concatenate([keys.slots, np.full(max(len(keys.slots), own + 1), UNKNOWN, np.int64)])
            if keys.slots[own] == UNKNOWN:
                keys.slots[own] = self._cache.slot_of(prefix + key, partial(self._describe, key))
