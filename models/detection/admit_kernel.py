"""From the batches of a record to rows on their way to their windows, as compiled code.

What was taken before, what has no meaning or no value, the time at which a row counts, and how far event time has come with it: why is
said in sources.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, compiled_bare
from models.detection.fates import FUTURE, ON_TIME, REORDERED
from models.detection.ordered_kernel import place_among, shift_of
from models.detection.packed import Ints
from models.detection.series.tables import NONE
from schemas.samples import LARGEST, STALE_BITS

Ids = NDArray[np.uint64]
NOBODY = -(2**62)  # in place of a time
_STALE = np.uint64(STALE_BITS)  # held against an int the bits would be rounded: infinity has nearly the same

TAKEN, DUPLICATE, UNKNOWN, NOT_FINITE = range(4)  # what a row is found to be
KINDS = 4
RESTARTED = KINDS  # of a count: its log began anew


class Times(NamedTuple):
    """What the rows of a record are held against, whatever their source; in ms."""

    now: int  # the record's own time, 0: it has none
    tick: int  # the newest
    idle: int  # a source without rows for so long is idle
    future: int  # further ahead of its record a row counts at the record's time
    window: int


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
    """What rows say of their source; event times in ms, of at least one row."""

    newest: int
    reached: int  # newest at which any counts
    claimed: int  # newest that any claims, where the record's time bears it
    sound: bool  # one of them is not from the future


@compiled
def look(batch: Any, ends: Ints, numbers: Ints, sources: Any, known: Any, raw: Ints, found: NDArray[np.uint8]) -> Ints:
    """Tell of each row what it is, and its raw series; return how many of each source are of each kind, and RESTARTED (n, KINDS + 1).

    Args: batch, its columns series, time, value, offset (n,); ends and numbers, where the rows of each source end and its row of
    `sources`; known (registry.Known), the series that are. Changes raw (n,), found (n,), and the marks of `sources`.
    """
    counts, begin = np.zeros((len(ends), KINDS + 1), np.int64), 0
    for part in range(len(ends)):
        _look(batch, begin, ends[part], sources[numbers[part]], known, raw, found, counts[part])
        begin = ends[part]
    return counts


@compiled_bare
def _look(batch: Any, begin: int, end: int, source: Any, known: Any, raw: Ints, found: NDArray[np.uint8], counts: Ints) -> None:
    series, time, value, offset = batch
    ids, rows, begins = known
    shift = shift_of(begins)
    anew, highest, latest = begins_anew(source.mark, source.latest, offset, time, begin, end), NOBODY, NOBODY
    if anew < end:
        counts[RESTARTED] += 1
        source.latest = 0
    bits = value.view(np.uint64)
    for i in range(begin, end):
        raw[i] = NONE
        if offset[i] <= source.mark and i < anew:
            found[i] = DUPLICATE
        else:
            highest, latest = max(highest, offset[i]), max(latest, time[i])
            place = place_among(ids, begins, shift, series[i])
            if place == NONE:
                found[i] = UNKNOWN
            else:
                raw[i] = rows[place]
                found[i] = TAKEN if np.isfinite(value[i]) or bits[i] == _STALE else NOT_FINITE
        counts[found[i]] += 1
    if highest != NOBODY:
        source.mark, source.latest = highest, max(source.latest, latest)


@compiled_bare
def begins_anew(mark: int, latest: int, offset: Ints, time: Ints, begin: int, end: int) -> int:
    """Return the first of these rows, in source order, that `marks.judge` would find to begin the log anew; `end` where none does.

    `mark` is the highest offset taken, `latest` the newest event time (ms) of all that was taken, 0 where that is not known: then
    nothing below the mark counts as new. The rows after the one that is found follow it in the new log.
    """
    for i in range(begin, end):
        if latest > 0 and offset[i] <= mark and time[i] > latest:
            return i
    return end


@compiled_bare
def arrange(
    batch: Any, ends: Ints, numbers: Ints, sources: Any, times: Any, raw: Ints, found: NDArray[np.uint8], rows: Any, ids: Ids
) -> int:
    """Fill `rows`, and `ids` with their series, with those of the batch that are TAKEN, in order; return how many there are.

    Args as of `look`; times (Times). Changes `sources`: how far each has come.
    """
    count = begin = 0
    for part in range(len(ends)):
        last = _arrange(batch, begin, ends[part], sources, numbers[part], times, raw, found, rows, ids, count)
        begin, count = ends[part], last
    return count


@compiled_bare
def _arrange(
    batch: Any,
    begin: int,
    end: int,
    sources: Any,
    number: int,
    times: Any,
    raw: Ints,
    found: NDArray[np.uint8],
    rows: Any,
    ids: Ids,
    count: int,
) -> int:
    series, time, value, offset = batch
    while begin < end and found[begin] != TAKEN:
        begin += 1
    if begin == end:
        return count
    wait_again(sources, times)
    sources[number].fed = True
    clock, lead = clock_of(sources, number, times), lead_of(sources, number, times)
    newest, reached, claimed, sound = lead.newest, NOBODY, NOBODY, False
    window = times.window
    row_window, row_begins = 0, 0  # of the row before: most rows are of the same, and to divide is most of what a row costs here
    closing, closing_begins = 0, 0
    for i in range(begin, end):
        if found[i] != TAKEN:
            continue
        at, future, claim = clamped(time[i], clock)
        claimed = max(claimed, claim)
        sound = sound or not future
        newest = moved(newest, at, future, lead.alone and not sound, clock.now)
        reached = max(reached, at)
        row = rows[count]
        row.raw, row.at, row.source, row.offset = raw[i], at, number, offset[i]
        row.value = min(max(value[i], -LARGEST), LARGEST) if np.isfinite(value[i]) else value[i]
        if not row_begins <= at < row_begins + window:
            row_window = at // window
            row_begins = row_window * window
        mark = watermark(newest, lead)
        if not closing_begins <= mark < closing_begins + window:
            closing = mark // window
            closing_begins = closing * window
        row.window, row.closing = row_window, closing
        row.arrival = FUTURE if future else REORDERED if at < newest else ON_TIME
        ids[count] = series[i]
        count += 1
    note(sources[number], Came(newest, reached, claimed, sound))
    return count


@compiled_bare
def waited_for(source: Any) -> bool:
    return bool(source.fed and not (source.idle or source.ahead or source.lagging))


@compiled_bare
def wait_again(sources: Any, times: Any) -> None:
    """Wait again for all who fell silent together, where nobody is waited for: what stood still was before them, and comes now.

    Who does not is idle again as one that falls silent now.
    """
    last = NOBODY
    for i in range(len(sources)):
        if waited_for(sources[i]):
            return
        if sources[i].fed and sources[i].idle:
            last = max(last, sources[i].heard)
    for i in range(len(sources)):
        if sources[i].idle and sources[i].heard > last - times.idle:
            sources[i].idle, sources[i].heard = False, times.tick


@compiled_bare
def clock_of(sources: Any, number: int, times: Any) -> Any:
    """Return what times of this source are held against."""
    believable = NOBODY
    if sources[number].ahead:
        believable = times.tick
        for i in range(len(sources)):
            if waited_for(sources[i]):
                believable = max(believable, sources[i].newest)
    return Clock(times.now, times.future, believable)


@compiled_bare
def lead_of(sources: Any, number: int, times: Any) -> Any:
    """Return how far this source, from which something has come, and the others are."""
    source, others = sources[number], NOBODY
    for i in range(len(sources)):
        if i != number and waited_for(sources[i]):
            mark = sources[i].newest - sources[i].buffer
            others = mark if others == NOBODY else min(others, mark)
    alone = source.sound < 0 or 0 < source.sound <= times.tick - times.idle
    return Lead(source.newest, alone, source.buffer, others, source.fed and not (source.ahead or source.lagging))


@compiled_bare
def note(source: Any, came: Any) -> None:
    """Take note of what has come of a source."""
    source.newest, source.heard, source.idle = came.newest, 0, False
    source.reached, source.claimed = max(source.reached, came.reached), max(source.claimed, came.claimed)
    if came.sound:
        source.sound = 0


@compiled_bare
def clamped(at: int, clock: Any) -> tuple[int, bool, int]:
    """Return the time at which a row counts, whether it is from the future, and the time that it claims."""
    future = 0 < clock.now < at - clock.future
    claim = clock.now if future else at
    if clock.believable != NOBODY and claim > clock.believable:
        return clock.believable, True, claim
    return claim, future, claim


@compiled_bare
def moved(newest: int, at: int, future: bool, alone: bool, now: int) -> int:
    """Return the newest event time of a source after a row: no later than its record's (0: it has none), for others are not ahead."""
    if future and not alone:
        return newest
    return max(newest, min(at, now) if now > 0 else at)


@compiled_bare
def watermark(newest: int, lead: Any) -> int:
    """Return how far event time has come in the partition."""
    own = newest - lead.lag
    if lead.others == NOBODY:
        return int(own)
    return int(min(own, lead.others) if lead.waited else lead.others)
