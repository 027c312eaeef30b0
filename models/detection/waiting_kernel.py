"""Where rows wait, as compiled code: a list for each of the next windows, so that to close one costs the rows of that one.

A window's list begins at `heads[window modulo their number]`; rows further ahead than that are in one list of their own, which is looked
through when the nearest of them comes within reach. A place that is given back is used again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled
from models.detection.packed import Ints
from models.detection.series.tables import NONE

NOWHERE = 2**62
SHELF = np.dtype(
    [
        ("used", np.int64),  # places handed out at some time
        ("count", np.int64),  # rows
        ("free", np.int64),  # first place that was given back
        ("far", np.int64),  # first of the rows that are far ahead
        ("nearest", np.int64),  # window of those
        ("base", np.int64),  # windows below it are closed
    ]
)


@compiled
def shelve_all(room: Any, heads: Ints, shelves: Any, base: int) -> None:
    """Put every row that has a raw series into the list of its window, and every other place among the free."""
    shelf = shelves[0]
    heads[:] = NONE
    shelf.free, shelf.far, shelf.nearest, shelf.base, shelf.count = NONE, NONE, NOWHERE, base, 0
    for place in range(shelf.used):
        if room[place].raw == NONE:
            room[place].link = shelf.free
            shelf.free = place
        else:
            _link(room, heads, shelf, place)
            shelf.count += 1


@compiled
def put(room: Any, heads: Ints, shelf: Any, row: Any) -> int:
    """Let a row wait, whose window is open; return its place."""
    place = shelf.free
    if place == NONE:
        place = shelf.used
        shelf.used += 1
    else:
        shelf.free = room[place].link
    room[place] = row
    _link(room, heads, shelf, place)
    shelf.count += 1
    return int(place)


@compiled
def take_below(room: Any, heads: Ints, shelf: Any, target: int, places: Ints) -> int:
    """Take the rows of the windows below this one off their lists, which closes them; return how many there are. Changes `places`."""
    count, reach = 0, shelf.base + len(heads)
    for window in range(shelf.base, min(target, reach)):
        bucket = window % len(heads)
        place = heads[bucket]
        while place != NONE:
            places[count] = place
            count += 1
            place = room[place].link
        heads[bucket] = NONE
    shelf.base = target
    if shelf.nearest < target + len(heads):
        place, shelf.far, shelf.nearest = shelf.far, NONE, NOWHERE
        while place != NONE:
            after = room[place].link
            if room[place].window < target:
                places[count] = place
                count += 1
            else:
                _link(room, heads, shelf, place)
            place = after
    return count


@compiled
def give_back(room: Any, shelf: Any, place: int) -> None:
    room[place].raw = NONE
    room[place].link = shelf.free
    shelf.free = place
    shelf.count -= 1


@compiled
def _link(room: Any, heads: Ints, shelf: Any, place: int) -> None:
    window = room[place].window
    if window < shelf.base + len(heads):
        bucket = window % len(heads)
        room[place].link = heads[bucket]
        heads[bucket] = place
    else:
        room[place].link = shelf.far
        shelf.far = place
        shelf.nearest = min(shelf.nearest, window)


@compiled
def sort(rows: Any, places: Ints, count: int) -> None:
    """Sort the first of these places by the window, raw series, time, source and offset of their rows: merge sort, bottom up."""
    other, width = np.empty(count, np.int64), 1
    while width < count:
        for low in range(0, count, 2 * width):
            middle, high = min(low + width, count), min(low + 2 * width, count)
            left, right = low, middle
            for at in range(low, high):
                if left < middle and (right == high or not _before(rows[places[right]], rows[places[left]])):
                    other[at] = places[left]
                    left += 1
                else:
                    other[at] = places[right]
                    right += 1
        places[:count] = other
        width *= 2


@compiled
def _before(one: Any, other: Any) -> bool:
    if one.window != other.window:
        return bool(one.window < other.window)
    if one.raw != other.raw:
        return bool(one.raw < other.raw)
    if one.at != other.at:
        return bool(one.at < other.at)
    if one.source != other.source:
        return bool(one.source < other.source)
    return bool(one.offset < other.offset)
