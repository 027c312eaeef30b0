"""Where rows wait, as compiled code: a list for each of the next windows, so that to close one costs the rows of that one.

A window's list begins at `heads[window modulo their number]`, which is a power of two; `links` says for each place which is the next. Rows
further ahead are in one list of their own, which is looked through when the nearest of them comes within reach. A place that is given back
is used again. The links are not in the rows: to follow a list waits for each of them, and they are near where rows are far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, compiled_bare
from models.detection.packed import Ints
from models.detection.series.tables import NONE

Places = NDArray[np.int32]

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


@compiled_bare
def shelve_all(room: Any, links: Places, heads: Ints, shelves: Any, base: int) -> None:
    """Put every row that has a raw series into the list of its window, and every other place among the free."""
    shelf = shelves[0]
    heads[:] = NONE
    shelf.free, shelf.far, shelf.nearest, shelf.base, shelf.count = NONE, NONE, NOWHERE, base, 0
    for place in range(shelf.used):
        if room[place].raw == NONE:
            links[place] = shelf.free
            shelf.free = place
        else:
            _link(room[place].window, links, heads, shelf, place)
            shelf.count += 1


@compiled_bare
def put(room: Any, links: Places, heads: Ints, shelf: Any, row: Any) -> int:
    """Let a row wait, whose window is open; return its place."""
    place = shelf.free
    if place == NONE:
        place = shelf.used
        shelf.used += 1
    else:
        shelf.free = links[place]
    one = room[place]
    one.at, one.value, one.offset, one.window = row.at, row.value, row.offset, row.window
    one.raw, one.source, one.arrival = row.raw, row.source, row.arrival
    _link(row.window, links, heads, shelf, place)
    shelf.count += 1
    return int(place)


@compiled_bare
def take_below(room: Any, links: Places, heads: Ints, shelf: Any, target: int, places: Places) -> int:
    """Take the rows of the windows below this one off their lists, which closes them; return how many there are.

    Changes `places`: to those of the earliest window first, and of one window in the order in which they came, mostly.
    """
    count = 0
    while shelf.base < target:
        reach = min(target, shelf.base + len(heads))
        for window in range(shelf.base, reach):
            count = _unhook(links, heads, window & (len(heads) - 1), places, count)
        shelf.base = reach if shelf.nearest < target else target
        if shelf.nearest < shelf.base + len(heads):
            _bring_near(room, links, heads, shelf)
        elif shelf.base < target:
            shelf.base = shelf.nearest  # nothing waits in between
            _bring_near(room, links, heads, shelf)
    return count


@compiled_bare
def _unhook(links: Places, heads: Ints, bucket: int, places: Places, first: int) -> int:
    """Take a whole list, whose newest row stands first; return the place behind its last."""
    last, place = first, heads[bucket]
    while place != NONE:
        places[last] = place
        last += 1
        place = links[place]
    heads[bucket] = NONE
    for i in range((last - first) // 2):
        places[first + i], places[last - 1 - i] = places[last - 1 - i], places[first + i]
    return last


@compiled_bare
def _bring_near(room: Any, links: Places, heads: Ints, shelf: Any) -> None:
    """Put rows that were far ahead, and are within reach now, into the lists of their windows."""
    place, shelf.far, shelf.nearest = shelf.far, NONE, NOWHERE
    while place != NONE:
        after = links[place]
        _link(room[place].window, links, heads, shelf, place)
        place = after


@compiled_bare
def give_back(links: Places, shelf: Any, places: Places) -> None:
    """Let places be used again, in this order: while it is the one in which they were used, rows that come together lie together."""
    for i in range(len(places) - 1, -1, -1):
        links[places[i]] = shelf.free
        shelf.free = places[i]
    shelf.count -= len(places)


@compiled
def taken(room: Any, places: Places) -> Any:
    """Return copies of the rows at these places, which hold none from now on."""
    rows = np.empty(len(places), room.dtype)
    for i in range(len(places)):
        rows[i] = room[places[i]]
        room[places[i]].raw = NONE
    return rows


@compiled_bare
def _link(window: int, links: Places, heads: Ints, shelf: Any, place: int) -> None:
    if window < shelf.base + len(heads):
        bucket = window & (len(heads) - 1)
        links[place] = heads[bucket]
        heads[bucket] = place
    else:
        links[place] = shelf.far
        shelf.far = place
        shelf.nearest = min(shelf.nearest, window)


@compiled_bare
def end_of_window(rows: Any, places: Places, first: int, last: int) -> int:
    """Return where the rows of the window end whose first is at this place of `places`."""
    end = first + 1
    while end < last and rows[places[end]].window == rows[places[first]].window:
        end += 1
    return end


@compiled
def sort(rows: Any, places: Places) -> None:
    """Sort places, of rows of one window, by raw series, time, source and offset.

    What one source brings is mostly in order: runs that are so already are merged, two and two. Keys are taken beside, for rows are far.
    """
    keys, other, others = np.empty(len(places), np.int32), np.empty(len(places), np.int32), np.empty(len(places), np.int32)
    for i in range(len(places)):
        keys[i] = rows[places[i]].raw
    if _end_of_run(rows, places, keys, 0) < len(places):
        while _merge_runs(rows, places, keys, other, others) > 1:
            pass


@compiled_bare
def _merge_runs(rows: Any, places: Places, keys: Places, other: Places, others: Places) -> int:
    """Merge each two neighbouring runs; return how many there are then. `keys` are the raw series of the rows."""
    runs = at = 0
    while at < len(places):
        middle = _end_of_run(rows, places, keys, at)
        high = _end_of_run(rows, places, keys, middle) if middle < len(places) else middle
        left, right = at, middle
        for i in range(at, high):
            if left < middle and (right == high or not _earlier(rows, places, keys, right, left)):
                other[i], others[i] = places[left], keys[left]
                left += 1
            else:
                other[i], others[i] = places[right], keys[right]
                right += 1
        runs, at = runs + 1, high
    for i in range(len(places)):
        places[i], keys[i] = other[i], others[i]
    return runs


@compiled_bare
def _end_of_run(rows: Any, places: Places, keys: Places, first: int) -> int:
    end = first + 1
    while end < len(places) and not _earlier(rows, places, keys, end, end - 1):
        end += 1
    return end


@compiled_bare
def _earlier(rows: Any, places: Places, keys: Places, one: int, other: int) -> bool:
    return _before(rows[places[one]], rows[places[other]]) if keys[one] == keys[other] else keys[one] < keys[other]


@compiled_bare
def _before(one: Any, other: Any) -> bool:
    if one.raw != other.raw:
        return bool(one.raw < other.raw)
    if one.at != other.at:
        return bool(one.at < other.at)
    if one.source != other.source:
        return bool(one.source < other.source)
    return bool(one.offset < other.offset)
