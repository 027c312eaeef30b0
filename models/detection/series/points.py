"""What the making of points works on: tables as compiled code takes them, points, and marks that one window leaves as it finds them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.compiled import compiled
from models.detection.packed import Bools, Floats, Ints

LEAST_POOLED = 0.5  # of the wanted observations, once they were gathered for long enough
MOST_POINTS = 6  # of one raw series in one window: the three quantiles and the rate of a histogram, its instance's ratio and restarts


class Tables(NamedTuple):
    """The tables as compiled code takes them: records, and beside them what is as wide as configuration says."""

    raws: Any
    units: Any
    hists: Any
    bounds: Floats
    counts: Floats
    tail: Any
    insts: Any
    slots: Any
    ring: Floats
    order: Any
    used_units: int


class Pooling(NamedTuple):
    """How many observations stand behind one point; times in ms."""

    quantile_count: int
    tail_count: int
    ratio_count: int
    longest: int  # so long they are gathered; then half as many will do
    restarts_ms: int
    restarts_quick_ms: int
    restarts_quick_count: int
    restarts_count: int


class Points(NamedTuple):
    """Points of derived series, each at most once; `filled` (1,) says how many."""

    slot: Ints
    at: Ints
    value: Floats
    filled: Ints


class Scratch(NamedTuple):
    """Marks that one window leaves as it finds them."""

    began: Bools  # by unit: its histogram began anew
    touched: Bools  # by instance
    had: Ints  # by instance: counters that had counted something,
    restarted: Ints  # those of them that began anew,
    restarted_at: Ints  # and when the first did


@compiled
def scratch_for(tables: Any) -> Any:
    insts = len(tables.insts)
    return Scratch(
        np.zeros(len(tables.units), np.bool_),
        np.zeros(insts, np.bool_),
        np.zeros(insts, np.int64),
        np.zeros(insts, np.int64),
        np.zeros(insts, np.int64),
    )


@compiled
def point(points: Any, slot: int, at: int, value: float) -> None:
    count = points.filled[0]
    points.slot[count], points.at[count], points.value[count] = slot, at, value
    points.filled[0] = count + 1


@compiled
def pooled(count: float, wanted: int, waited: bool) -> bool:
    """Tell whether enough was gathered: all that is wanted, or half of it after the longest wait; each is judged by itself."""
    return bool(count >= wanted or (waited and count >= max(1.0, LEAST_POOLED * wanted)))
