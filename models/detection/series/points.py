"""What the making of points works on: tables as compiled code takes them, points, and marks that one window leaves as it finds them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from models.detection.packed import Bools, Floats, Ints, Singles

LEAST_POOLED = 0.5  # of the wanted observations, once they were gathered for long enough
MOST_POINTS = 6  # of one raw series in one window: the three quantiles and the rate of a histogram, its instance's ratio and restarts


# Of an instance that has news, in one window.
MARKS = np.dtype(
    [
        ("had", np.int32),  # counters that had counted something,
        ("restarted", np.int32),  # those of them that began anew,
        ("restarted_at", np.int64),  # and when the first did
    ],
    align=True,
)


class Scratch(NamedTuple):
    """Marks that one window leaves as it finds them."""

    began: Bools  # by unit: its histogram began anew
    touched: NDArray[np.int32]  # by instance: 1 + its place among those that have news, 0 where it has none


def scratch_for(units: int, insts: int) -> Scratch:
    """Return marks for tables of so many rows."""
    return Scratch(np.zeros(units, np.bool_), np.zeros(insts, np.int32))


class Tables(NamedTuple):
    """The tables as compiled code takes them: records, and beside them what is as wide as configuration says."""

    raws: Any
    units: Any
    hists: Any
    bounds: Floats
    counts: Floats
    tail: Any
    insts: Any
    tallies: Any
    slots: Any
    rules: Any  # of rules.OWN
    ring: Singles
    order: Any
    used_units: int
    scratch: Scratch


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


@compiled_bare
def point(points: Any, slot: int, at: int, value: float) -> None:
    """Note a point. What is no number, or beyond all, is none: a baseline would not get over it, and no record can hold it."""
    if not np.isfinite(value):
        return
    count = points.filled[0]
    points.slot[count], points.at[count], points.value[count] = slot, at, value
    points.filled[0] = count + 1


@compiled_bare
def pooled(count: float, wanted: int, waited: bool) -> bool:
    """Tell whether enough was gathered: all that is wanted, or half of it after the longest wait; each is judged by itself."""
    return bool(count >= wanted or (waited and count >= max(1.0, LEAST_POOLED * wanted)))
