"""Rows that wait for their window, and those that are on their way to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import mapped
from models.detection.fates import ON_TIME
from models.detection.packed import Ints
from models.detection.waiting_kernel import SHELF, Places, shelve_all

# `raw` is the row of the raw series; `arrival` the place in fates.ARRIVALS: how it came, which is its fate where it is judged; `closing`,
# of a row on its way, the number of the first window that stays open once it has come.
_WIDE = [("at", np.int64), ("value", np.float64), ("offset", np.int64), ("window", np.int64)]
_NARROW = [("raw", np.int32), ("source", np.int16), ("arrival", np.int8)]
ROW = np.dtype([*_WIDE, ("closing", np.int64), *_NARROW], align=True)
WAITS = np.dtype([*_WIDE, *_NARROW], align=True)  # of a row that waits
COLUMNS = WAITS.names or ()
_KEPT = {name: np.dtype(np.float64 if name == "value" else np.int64) for name in COLUMNS}  # in a snapshot

WINDOWS = 16_384  # a power of two, that have a list of their own; what is further ahead waits in one, and is gone through again and again
_LEAST_ROOM = 1024
_MOSTLY_EMPTY = 4  # times as much room as rows
OFFSET_BITS = 47  # of a place in a source: a log of a million records a second has so many offsets for four years


class Waiting:
    """Rows by window: each has its place in `room`, and each window the place of the first of its rows (waiting_kernel.py)."""

    def __init__(self, rows: Any = None) -> None:
        self.heads: Ints = np.zeros(WINDOWS, np.int64)
        self.shelf: Any = np.zeros(1, SHELF)
        self.room: Any = np.zeros(0, WAITS)
        self.links: Places = np.zeros(0, np.int32)  # a place each
        self.rows = np.zeros(0, WAITS) if rows is None else rows

    def __len__(self) -> int:
        return int(self.shelf["count"][0])

    @property
    def rows(self) -> Any:
        """Copies of the rows, by source and offset: the places they had decide only between rows of one record."""
        taken = self._taken()
        place = (self.room["source"][taken].astype(np.int64) << OFFSET_BITS) + self.room["offset"][taken]
        return self.room[taken[np.argsort(place, kind="stable")]]  # which is soon done where much is in order already

    @rows.setter
    def rows(self, rows: Any) -> None:
        self.room, self.links = rows.copy(), np.zeros(len(rows), np.int32)
        self.shelf["used"] = self.shelf["count"] = len(rows)
        self._shelved = False

    def image(self) -> dict[str, bytes]:
        """Return the rows as a snapshot holds them."""
        rows = self.rows
        return {name: rows[name].astype(_KEPT[name]).tobytes() for name in COLUMNS}

    @classmethod
    def of(cls, image: dict[str, bytes]) -> Waiting:
        """Return what an image holds; the release before did not say how each row came."""
        rows = np.zeros(len(image["raw"]) // _KEPT["raw"].itemsize, WAITS)
        rows["arrival"] = ON_TIME
        for name in COLUMNS:
            if name in image:
                rows[name] = np.frombuffer(image[name], _KEPT[name])
        return cls(rows)

    @property
    def raws(self) -> Ints:
        """The raw series of each row."""
        raws: Ints = self.room["raw"][self._taken()]
        return raws

    def ready(self, closed: int, more: int) -> None:
        """Make room for so many more rows; the windows below `closed` are closed."""
        if (need := len(self) + more) > len(self.room):  # what was given back is used first
            size = (max(_LEAST_ROOM, need + need // 4),)
            room, links = mapped(size, WAITS), mapped(size, np.int32)
            room[: len(self.room)], links[: len(self.links)] = self.room, self.links
            self.room, self.links = room, links
        if not self._shelved or self.shelf["base"][0] != closed:
            shelve_all(self.room, self.links, self.heads, self.shelf, closed)
            self._shelved = True

    def trim(self) -> None:
        """Give back what a backlog needed, where most of it holds no row now."""
        if len(self.room) > _MOSTLY_EMPTY * max(_LEAST_ROOM, len(self)):
            self.rows = self.rows

    def _taken(self) -> Any:
        used = int(self.shelf["used"][0])
        return np.flatnonzero(self.room["raw"][:used] >= 0)


NO_ROWS = np.zeros(0, ROW)
