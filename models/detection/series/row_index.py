"""Rows by 64-bit key: two sorted arrays, and beside them what came since they were sorted."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import numpy as np
from numpy.typing import NDArray

from models.detection.packed import Ints
from models.detection.series.tables import NONE

Rows = NDArray[np.int32]  # a partition has far fewer
_LEAST_NEW, _SHARE = 1024, 32  # so many, and one part in so many of what is sorted, may wait for it


class RowIndex(MutableMapping[int, int]):
    """Takes twelve bytes a key, and no objects as a dict does. Rows are not negative, and fewer than 2^31."""

    def __init__(self) -> None:
        self._keys: NDArray[np.uint64] = np.zeros(0, np.uint64)  # in rising order
        self._rows: Rows = np.zeros(0, np.int32)  # of each; NONE: it is gone
        self._new: dict[int, int] = {}  # none of these keys has a row among those that are sorted
        self._gone = 0

    @classmethod
    def of(cls, keys: NDArray[np.uint64], rows: Ints) -> RowIndex:
        """Return one of these keys, each of which is there once."""
        found, order = cls(), np.argsort(keys, kind="stable")
        found._keys, found._rows = keys[order], rows[order].astype(np.int32)
        return found

    def __getitem__(self, key: int) -> int:
        if (row := self.find(key)) == NONE:
            raise KeyError(key)
        return row

    def __contains__(self, key: object) -> bool:
        return isinstance(key, int) and self.find(key) != NONE

    def find(self, key: int) -> int:
        """Return the row of a key, NONE where it has none."""
        row = self._new.get(key)
        if row is None:
            row = NONE if (place := self._place(key)) == NONE else int(self._rows[place])
        return row

    def __setitem__(self, key: int, row: int) -> None:
        if key not in self._new and (place := self._place(key)) != NONE:
            self._rows[place] = row
        else:
            self.add(key, row)

    def add(self, key: int, row: int) -> None:
        """Take in a key that has no row."""
        self._new[key] = row
        if len(self._new) > _LEAST_NEW + len(self._keys) // _SHARE:
            self.settled()

    def __delitem__(self, key: int) -> None:
        if key in self._new:
            del self._new[key]
        elif (place := self._place(key)) != NONE:
            self._rows[place] = NONE
            self._gone += 1
        else:
            raise KeyError(key)

    def __iter__(self) -> Iterator[int]:
        yield from self._keys[self._rows != NONE].tolist()
        yield from self._new

    def __len__(self) -> int:
        return len(self._keys) - self._gone + len(self._new)

    def settled(self) -> tuple[NDArray[np.uint64], Rows]:
        """Return all keys in rising order, and the row of each; they stand until the next change."""
        if self._new or self._gone:
            held, count = self._rows != NONE, len(self._new)
            keys = np.concatenate([self._keys[held], np.fromiter(self._new, np.uint64, count)])
            rows = np.concatenate([self._rows[held], np.fromiter(self._new.values(), np.int32, count)])
            order = np.argsort(keys, kind="stable")
            self._keys, self._rows, self._new, self._gone = keys[order], rows[order], {}, 0
        return self._keys, self._rows

    def _place(self, key: int) -> int:
        """Return where a key stands among those that are sorted, NONE where it does not."""
        keys = self._keys
        if not len(keys):
            return NONE
        place = int(keys.searchsorted(np.uint64(key)))
        return place if place < len(keys) and keys[place] == key and self._rows[place] != NONE else NONE
