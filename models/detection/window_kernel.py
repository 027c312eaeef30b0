"""The way of rows through their windows, as compiled code: they wait, windows close as the watermark passes, each is judged once.

`advance` goes on by itself for as long as nothing is to be said; then it comes back, and goes on where it was when called again. A row
is taken as if it came alone: it is put into its window, then the windows close that it lets close. So nothing depends on how batches
were cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.compiled import compiled, compiled_bare
from models.detection.band_kernel import Rule
from models.detection.fates import FUTURE, LATE
from models.detection.health_kernel import any_troubled
from models.detection.hear_kernel import advanced, any_silent, end_series, hear, stands
from models.detection.judge_kernel import SILENT, judge
from models.detection.packed import Bools, Ints
from models.detection.series.derive import derive
from models.detection.series.increase import FOLDED, PASSED, fold_window
from models.detection.series.points import Pooling
from models.detection.series.tables import NEVER, NONE
from models.detection.waiting_kernel import Places, end_of_window, give_back, put, sort, take_below, taken

# Why it came back: all is done; a row's series is forgotten, and must be made anew; too many rows wait; health is due before it goes
# on; a window was judged, and there is something to say.
DONE, ASLEEP, FULL, HEALTH, JUDGED = range(5)

NOT_CLOSING = -(2**62)

# Where it is. What lasts from record to record is also in the state: `closed`, `health_at`, and the active clock.
COURSE = np.dtype(
    [
        ("row", np.int64),  # next of those that come
        ("due", np.int64),  # next of those that are due
        ("dues", np.int64),  # how many are
        ("target", np.int64),  # windows below it close; NOT_CLOSING: none do
        ("closed", np.int64),  # windows below it are closed
        ("health_at", np.int64),  # event time of the next health
        ("fed", np.int64),  # 1: by a heartbeat, the partition is fed until the windows that close have
        ("until", np.int64),  # event time that it has come to
        ("clock", np.int64),  # active clock
        ("clock_last", np.int64),  # event time of its last advance; NEVER: there was none
        ("clock_usual", np.float64),
    ]
)


class Way(NamedTuple):
    """What is configured for all windows; times in ms."""

    window_ms: int
    health_ms: int  # between two moments of health,
    everyone_ms: int  # and between two of everyone's
    recent_ms: int  # so long what was out of the ordinary is told of at each
    full: int  # rows that wait: at so many the oldest windows close
    continued_ms: int
    silence_ms: int
    silence_intervals: float
    forget_ms: int
    judging: Rule
    pooling: Pooling


class Rows(NamedTuple):
    """The rows that come, and where they wait (rows.Waiting)."""

    coming: Any
    room: Any
    links: Any  # of waiting_kernel.Places
    heads: Ints
    shelves: Any
    order: Places  # of the rows that are due, as they are judged: room for as many as may wait
    sources: Any  # of sources.SOURCE


class Said(NamedTuple):
    """What a window brought: slots whose anomaly opened, slots whose anomaly closed and which of those had been silent."""

    opened: Ints
    closed: Ints
    was_silent: Bools
    quiet: bool  # some unit may have fallen silent


@compiled
def advance(tables: Any, way: Any, courses: Any, rows: Any, going: Ints, counts: Ints) -> tuple[int, Any]:
    """Go on with the rows that come, and with the windows that close; return why it came back, and what is to be said.

    Args: tables (points.Tables); way (Way); courses (1,) of COURSE; rows (Rows), with room for all that come; going, the slots with an
    open anomaly; counts (sources, increase.COUNTS), what became of rows.
    """
    course = courses[0]
    while True:
        if course.target != NOT_CLOSING:
            while course.due < course.dues:
                begins = rows.room[rows.order[course.due]].window * way.window_ms
                if begins >= course.health_at and _is_health_due(tables.slots, course, begins, way):
                    return HEALTH, _nothing()
                said = _judge_window(tables, way, course, rows, going, counts)
                if said.quiet or len(said.opened) or len(said.closed) or _continues(tables.slots, going, course.until, way):
                    return JUDGED, said
            if course.fed:
                said = _pass_time(tables, way, course, going)
                if said.quiet or _continues(tables.slots, going, course.until, way):
                    return JUDGED, said
            closed = course.target * way.window_ms
            if closed >= course.health_at and _is_health_due(tables.slots, course, closed, way):
                return HEALTH, _nothing()
            course.target = NOT_CLOSING
        if course.row == len(rows.coming):
            return DONE, _nothing()
        row = rows.coming[course.row]
        if row.raw == NONE:
            return ASLEEP, _nothing()
        course.row += 1
        _wait(tables.raws, way, course, rows, row, counts)
        if row.closing > course.closed:
            begin_closing(course, rows, row.closing)
        elif rows.shelves[0].count >= way.full:
            return FULL, _nothing()


@compiled
def begin_closing(course: Any, rows: Any, target: int) -> None:
    """Let the windows below this one close."""
    course.target = course.closed = target
    course.due, course.dues = 0, take_below(rows.room, rows.links, rows.heads, rows.shelves[0], target, rows.order)


@compiled_bare
def _is_health_due(slots: Any, course: Any, until: int, way: Any) -> bool:
    """Tell whether health is to be told by this time. A moment that is only for what is in trouble passes where nothing is."""
    moment = until // way.health_ms * way.health_ms
    course.until = until
    if moment // way.everyone_ms * way.everyone_ms > course.health_at - way.health_ms or any_troubled(slots, moment - way.recent_ms):
        return True
    course.health_at = moment + way.health_ms
    return False


@compiled
def _nothing() -> Any:
    none = np.empty(0, np.int64)
    return Said(none, none, np.empty(0, np.bool_), False)


@compiled_bare
def _wait(raws: Any, way: Any, course: Any, rows: Any, row: Any, counts: Ints) -> None:
    """Put a row into its window; one so late that is news of its series goes into the oldest open one, another is dropped."""
    late = row.window < course.closed
    if late and (row.at <= raws[row.raw].last_t or row.at < course.closed * way.window_ms - rows.sources[row.source].allowed):
        counts[row.source, PASSED] += 1
        return
    if late:
        row.window = course.closed
        source = rows.sources[row.source]
        source.reached = max(source.reached, row.window * way.window_ms)  # where nothing more comes, its window is closed all the same
        if row.arrival != FUTURE:
            row.arrival = LATE
    put(rows.room, rows.links, rows.heads, rows.shelves[0], row)


@compiled
def _judge_window(tables: Any, way: Any, course: Any, rows: Any, going: Ints, counts: Ints) -> Any:
    """Judge the rows of the next window that is due."""
    judged = _rows_of_window(course, rows)
    end = (judged[0].window + 1) * way.window_ms
    course.until = end
    folded = np.empty(len(judged), FOLDED)
    news, ended = fold_window(judged, 0, len(judged), tables.raws, folded, counts)
    if not news:
        if ended:
            end_series(tables, judged)
        return _nothing()
    folded = folded[:news]
    again = stands(course.clock_last, end)
    course.clock, course.clock_last, course.clock_usual = advanced(course.clock, course.clock_last, course.clock_usual, end, way.window_ms)
    points = derive(tables, folded, end, course.clock, way.pooling)
    count = points.filled[0]
    slots = points.slot[:count]
    silent = tables.slots["state"][slots] == SILENT if len(going) else np.zeros(0, np.bool_)
    opened, closed = judge(
        tables.slots, tables.rules, tables.ring, tables.order, going, slots, points.at[:count], points.value[:count], way.judging
    )
    was_silent = np.zeros(len(closed), np.bool_)
    place = 0  # what closed stands in the order of the points
    for i in range(len(closed)):
        while slots[place] != closed[i]:
            place += 1
        was_silent[i] = silent[place]
    hear(tables, folded, course.clock, again)
    if ended:
        end_series(tables, judged)
    quiet = any_silent(tables.units, tables.used_units, course.clock, len(going) > 0, way)
    return Said(opened, closed, was_silent, quiet)


@compiled
def _rows_of_window(course: Any, rows: Any) -> Any:
    """Take the rows of the next window that is due from where they waited, in the order in which they are judged."""
    last = end_of_window(rows.room, rows.order, course.due, course.dues)
    places = rows.order[course.due : last]
    give_back(rows.links, rows.shelves[0], places)
    sort(rows.room, places)
    course.due = last
    return taken(rows.room, places)


@compiled
def _pass_time(tables: Any, way: Any, course: Any, going: Ints) -> Any:
    """Take note that the partition was fed until the windows have closed, rows or none."""
    course.fed, course.until = 0, course.target * way.window_ms
    nothing = _nothing()
    if course.clock_last == NEVER or stands(course.clock_last, course.until):
        return nothing
    course.clock, course.clock_last, course.clock_usual = advanced(
        course.clock, course.clock_last, course.clock_usual, course.until, way.window_ms
    )
    quiet = any_silent(tables.units, tables.used_units, course.clock, len(going) > 0, way)
    return Said(nothing.opened, nothing.closed, nothing.was_silent, quiet)


@compiled_bare
def _continues(slots: Any, going: Ints, at: int, way: Any) -> bool:
    """Tell whether it is time to say that an anomaly goes on; one that is silent is anomalous now."""
    found = False
    for slot in going:
        if slots[slot].state == SILENT:
            slots[slot].bad_at = at
        found = found or at - slots[slot].said >= way.continued_ms
    return found
