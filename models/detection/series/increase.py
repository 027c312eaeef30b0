"""From one window's rows to raw series: duplicates out, counters to increases with reset detection. Compiled code, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled_bare
from models.detection.packed import Ints
from models.detection.series.tables import GAUGE, NEVER

# One window's raw series, each once.
FOLDED = np.dtype(
    [
        ("raw", np.int64),
        ("unit", np.int64),  # its unit,
        ("type", np.int64),  # and what it is
        ("at", np.int64),  # of the newest sample
        ("value", np.float64),  # newest
        ("mean", np.float64),
        ("lowest", np.float64),
        ("increase", np.float64),  # since the last sample before the window; of a counter that began anew, what it counted since
        ("span", np.int64),  # ms since it, where known
        ("falls", np.int64),  # how often the value crossed 0.5 downwards: an `up` that went
        ("known", np.bool_),  # there was a sample before the window
        ("reset", np.bool_),
        ("had", np.bool_),  # it had counted something before, so that a reset would show
    ],
    align=True,
)
# What became of rows: a place for each way in which one that is folded may have come (fates.ARRIVALS), then these.
PASSED, SAME_TIME, ENDED = 4, 5, 6
COUNTS = 7

_HALF = 0.5
_WHOLE = 2.0**53  # a sum beyond it takes in no single count any more, so it begins anew: of a counter only differences are asked for


@compiled_bare
def fold_window(rows: Any, first: int, last: int, raws: Any, folded: Any, counts: Ints) -> tuple[int, int]:
    """Fold the rows of one window, by raw series, time, source and offset; return how many series had news, and how many rows end one.

    Of one series and time the last row stands. NaN is the producer's word that a series ends: it is no value.
    Changes `raws`, the newest sample of each; `folded`, with a place for each row; `counts` (sources, COUNTS).
    """
    found, ended, i = 0, 0, first
    while i < last:
        end = i + 1
        while end < last and rows[end].raw == rows[i].raw:
            end += 1
        news, ends = _fold_series(rows, i, end, raws[rows[i].raw], folded[found], counts)
        found, ended, i = found + news, ended + ends, end
    return found, ended


@compiled_bare
def _fold_series(rows: Any, first: int, last: int, raw: Any, one: Any, counts: Ints) -> tuple[int, int]:
    """Fold the rows of one raw series into `one`; return 1 where there was news, else 0, and how many of them end it."""
    until, value, known = raw.last_t, raw.last_v, raw.last_t != NEVER
    total, lowest, increase, fresh, ended = 0.0, np.inf, 0.0, 0, 0
    one.unit, one.type = raw.unit, raw.type
    one.raw, one.known, one.had, one.reset, one.falls = rows[first].raw, known, known and value > 0, False, 0
    for i in range(first, last):
        row = rows[i]
        if np.isnan(row.value):
            counts[row.source, ENDED] += 1
            ended += 1
        elif row.at < until:
            counts[row.source, PASSED] += 1
        elif row.at == until or _again(rows, i, last):
            counts[row.source, SAME_TIME] += 1
        else:
            counts[row.source, row.arrival] += 1
            newest = row.value
            if raw.delta:  # a level may fall; of a count less than nothing, nothing counts
                if raw.type != GAUGE and value > _WHOLE:
                    value = 0.0
                newest = value + (newest if raw.type == GAUGE else max(newest, 0.0))
            if known or fresh:
                fell = newest < value
                increase += newest if fell else newest - value
                one.reset |= fell
                one.falls += value >= _HALF and newest < _HALF
            total, lowest = total + newest, min(lowest, newest)
            value, one.at, fresh = newest, row.at, fresh + 1
    if not fresh:
        return 0, ended
    one.value, one.mean, one.lowest, one.increase = value, total / fresh, lowest, max(0.0, increase)
    one.span = one.at - until if known else 0
    raw.last_t, raw.last_v = one.at, value
    return 1, ended


@compiled_bare
def _again(rows: Any, i: int, last: int) -> bool:
    """Tell whether a later row is a value of the same time."""
    later = i + 1
    while later < last and np.isnan(rows[later].value):
        later += 1
    return bool(later < last and rows[later].at == rows[i].at)
