"""Rows that wait for their window, and those that are on their way to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.detection.packed import Ints

# `raw` is the row of the raw series; `arrival` the place in fates.ARRIVALS: how it came, which is its fate where it is judged;
# `closable` the number of the first window that stays open once it has come.
_ROW = [("raw", np.int64), ("at", np.int64), ("value", np.float64), ("source", np.int64), ("offset", np.int64), ("window", np.int64)]
ROW = np.dtype([*_ROW, ("arrival", np.int64), ("closable", np.int64)])
COLUMNS = tuple(name for name in ROW.names or () if name != "closable")  # of a row that waits

_LEAST_ROOM = 1024


class Waiting:
    """Rows in the order in which they came; room grows by doubling."""

    def __init__(self, rows: Any = None) -> None:
        self.room: Any = np.zeros(0, ROW) if rows is None else rows
        self.used = len(self.room)

    def __len__(self) -> int:
        return self.used

    @property
    def rows(self) -> Any:
        return self.room[: self.used]

    def room_for(self, more: int) -> Any:
        """Return the room, with place for so many more."""
        if self.used + more > len(self.room):
            room = np.zeros(max(_LEAST_ROOM, 2 * (self.used + more)), ROW)
            room[: self.used] = self.rows
            self.room = room
        return self.room

    def keep(self, chosen: Any) -> None:
        """Drop all but these."""
        kept = self.rows[chosen]
        self.room[: len(kept)] = kept
        self.used = len(kept)


def incoming(raw: Ints, at: Ints, value: Any, source: int, offset: Ints, window: Ints, arrival: Ints, closable: Ints) -> Any:
    """Put rows of one source together."""
    rows = np.empty(len(raw), ROW)
    rows["raw"], rows["at"], rows["value"], rows["source"], rows["offset"] = raw, at, value, source, offset
    rows["window"], rows["arrival"], rows["closable"] = window, arrival, closable
    return rows


NO_ROWS = np.zeros(0, ROW)
