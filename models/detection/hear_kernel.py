"""What is heard, and when something may have fallen silent: what silence.py describes, as compiled code for each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled_bare
from models.detection.series.tables import NEVER, NONE

INTERVAL_WEIGHT = 0.1  # of the newest interval
LEAST_HEARD = 10  # times, before an interval is known
OUTAGE_MS = 5_000  # a gap in everything that is longer than this, and than three times the usual, is an outage
LONGEST_GAP_MS = 60_000  # as which a longer one counts towards the usual


@compiled_bare
def stands(last: int, end: int) -> bool:
    """Tell whether a window that ends then was passed already, and is open once more: no time passes for it."""
    return last != NEVER and end <= last


@compiled_bare
def advanced(now: int, last: int, usual: float, end: int, window_ms: int) -> tuple[int, int, float]:
    """Return the active clock, its last advance and the usual gap after a window or a heartbeat at `end`."""
    if stands(last, end):
        return now, last, usual
    gap = window_ms if last == NEVER else end - last
    now += gap if gap <= max(OUTAGE_MS, 3 * usual) else window_ms
    return now, end, usual + INTERVAL_WEIGHT * (min(gap, LONGEST_GAP_MS) - usual)


@compiled_bare
def hear(tables: Any, folded: Any, active: int, again: bool) -> None:
    """Note that the units of these raw series were heard, and learn their intervals; `again`: no time passes, nothing is learned."""
    for i in range(len(folded)):
        unit = tables.units[folded[i].unit]
        if not again and unit.heard != active:
            gap = float(active - unit.heard)
            if unit.times == 0:
                unit.interval = 0.0
            elif unit.times == 1:
                unit.interval = gap
            else:
                unit.interval += INTERVAL_WEIGHT * (gap - unit.interval)
            unit.times += 1
        unit.heard = active
        unit.gone = False


@compiled_bare
def end_series(tables: Any, rows: Any) -> None:
    """Take a producer's word (NaN) that a series has ended: nobody misses it. Where the process went with it, `up` tells that."""
    for i in range(len(rows)):
        raw = tables.raws[rows[i].raw]
        if np.isnan(rows[i].value) and rows[i].at >= raw.last_t:
            tables.units[raw.unit].gone = True


@compiled_bare
def any_silent(units: Any, used: int, active: int, going: bool, way: Any) -> bool:
    """Tell whether a unit may have fallen silent, may have an anomaly to end, or has been silent for so long that its past says nothing."""
    for row in range(used):
        unit = units[row]
        quiet = active - unit.heard
        if unit.inst != NONE and quiet > min(way.silence_ms, way.forget_ms):
            overdue = quiet > max(way.silence_ms, way.silence_intervals * unit.interval) and unit.times >= LEAST_HEARD
            if quiet > way.forget_ms or (overdue and unit.primary != NONE and (going or not unit.gone)):
                return True
    return False
