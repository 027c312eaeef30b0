"""From a batch to rows on their way to their windows, as compiled code.

What was taken before, what has no meaning or no value, the time at which a row counts, and how far event time has come with it: why is
said in sources.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.detection.fates import FUTURE, ON_TIME, REORDERED
from models.detection.packed import Ints
from models.detection.series.tables import NONE
from schemas.samples import LARGEST, STALE_BITS

Ids = NDArray[np.uint64]
NOBODY = -(2**62)  # in place of a time

TAKEN, DUPLICATE, UNKNOWN, NOT_FINITE = range(4)  # what a row is found to be
HIGHEST, LATEST = 4, 5  # of what was not taken before: offset, and event time


class Clock(NamedTuple):
    """What the times of one source are held against; in ms."""

    now: int  # the record's own time, 0: it has none
    future: int  # further ahead of it a row counts at it
    believable: int  # no row counts later: its source's clock is ahead; NOBODY: it is not


class Lead(NamedTuple):
    """How far one source has come, and the others; event times in ms."""

    newest: int
    alone: bool  # it has nothing but rows from the future: they move it too, until one comes that is not
    lag: int  # its out-of-order buffer
    others: int  # least watermark of the others that are waited for; NOBODY: there are none
    waited: bool  # for it


class Came(NamedTuple):
    """What the rows of a batch say of their source; event times in ms, of at least one row."""

    newest: int
    reached: int  # newest at which any counts
    claimed: int  # newest that any claims, where the record's time bears it
    sound: bool  # one of them is not from the future


@compiled
def look(batch: Any, mark: int, anew: int, ids: Ids, rows: Ints, raw: Ints, found: NDArray[np.uint8]) -> Ints:
    """Tell of each row what it is, and its raw series; return how many there are of each kind, HIGHEST and LATEST.

    Args: batch, its columns series, time, value, offset (n,); mark, the highest offset that was taken; anew, the first row of a log that
    began anew, n where it did not; ids, known series in rising order, and rows, their raw series. Changes raw (n,), found (n,).
    """
    series, time, value, offset = batch
    counts = np.zeros(6, np.int64)
    counts[HIGHEST] = counts[LATEST] = NOBODY
    bits = value.view(np.uint64)
    for i in range(len(series)):
        raw[i] = NONE
        if offset[i] <= mark and i < anew:
            found[i] = DUPLICATE
            counts[DUPLICATE] += 1
            continue
        counts[HIGHEST], counts[LATEST] = max(counts[HIGHEST], offset[i]), max(counts[LATEST], time[i])
        place = np.searchsorted(ids, series[i])
        if place == len(ids) or ids[place] != series[i]:
            found[i] = UNKNOWN
        else:
            raw[i] = rows[place]
            found[i] = TAKEN
        if not (np.isfinite(value[i]) or bits[i] == STALE_BITS) and found[i] == TAKEN:
            found[i] = NOT_FINITE
        counts[found[i]] += 1
    return counts


@compiled
def arrange(batch: Any, raw: Ints, found: NDArray[np.uint8], number: int, clock: Any, lead: Any, window_ms: int, rows: Any) -> Any:
    """Fill `rows` with those of the batch that are TAKEN, in order; return what they say of their source (Came)."""
    series, time, value, offset = batch
    newest, reached, claimed, sound, count = lead.newest, NOBODY, NOBODY, False, 0
    for i in range(len(series)):
        if found[i] != TAKEN:
            continue
        at, future, claim = clamped(time[i], clock)
        claimed = max(claimed, claim)
        sound = sound or not future
        newest = moved(newest, at, future, lead.alone and not sound)
        reached = max(reached, at)
        row = rows[count]
        row.raw, row.at, row.source, row.offset = raw[i], at, number, offset[i]
        row.value = min(max(value[i], -LARGEST), LARGEST) if np.isfinite(value[i]) else value[i]
        row.window, row.link = at // window_ms, watermark(newest, lead) // window_ms
        row.arrival = FUTURE if future else REORDERED if at < newest else ON_TIME
        count += 1
    return Came(newest, reached, claimed, sound)


@compiled
def clamped(at: int, clock: Any) -> tuple[int, bool, int]:
    """Return the time at which a row counts, whether it is from the future, and the time that it claims."""
    future = 0 < clock.now < at - clock.future
    claim = clock.now if future else at
    if clock.believable != NOBODY and claim > clock.believable:
        return clock.believable, True, claim
    return claim, future, claim


@compiled
def moved(newest: int, at: int, future: bool, alone: bool) -> int:
    """Return the newest event time of a source after a row."""
    return max(newest, at) if alone or not future else newest


@compiled
def watermark(newest: int, lead: Any) -> int:
    """Return how far event time has come in the partition."""
    own = newest - lead.lag
    if lead.others == NOBODY:
        return int(own)
    return int(min(own, lead.others) if lead.waited else lead.others)
