"""A series' newest points: time and value of the newest, the gaps before it, which are short where times are long, and the older values."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled_bare
from models.detection.baseline import MOST
from models.detection.packed import Floats, Ints
from schemas.config.detect import MAX_POINTS

FURTHEST = 2**31 - 1  # ms, 24 days: two points that are further apart count as so far


@compiled_bare
def note_point(one: Any, at: int, value: float) -> None:
    """Put a point behind the others of a series, and forget the oldest."""
    for i in range(MAX_POINTS - 2):
        one.gaps[i], one.older[i] = one.gaps[i + 1], one.older[i + 1]
    one.gaps[MAX_POINTS - 2] = min(max(at - one.newest, -FURTHEST), FURTHEST)
    one.older[MAX_POINTS - 2] = min(max(one.value, -MOST), MOST)
    one.newest, one.value = at, value


@compiled_bare
def time_of(one: Any, place: int) -> int:
    """Return the time of one of the points of a series; the newest stands at MAX_POINTS - 1."""
    at = one.newest
    for i in range(place, MAX_POINTS - 1):
        at -= one.gaps[i]
    return int(at)


def times_of(slots: Any) -> Ints:
    """Return the times of the points of all series, (n, MAX_POINTS), the newest last."""
    newest = slots.newest[: slots.used, None]
    back = np.cumsum(slots.gaps[: slots.used, ::-1], axis=1, dtype=np.int64)[:, ::-1]
    return np.concatenate([newest - back, newest], axis=1)


def set_times(slots: Any, times: Ints) -> None:
    """Set them, (n, MAX_POINTS)."""
    slots.newest[: slots.used] = times[:, -1]
    slots.gaps[: slots.used] = np.clip(np.diff(times, axis=1), -FURTHEST, FURTHEST)


def values_of(slots: Any) -> Floats:
    """Return the values of the points of all series, (n, MAX_POINTS), the newest last."""
    return np.column_stack([slots.older[: slots.used], slots.value[: slots.used]])


def set_values(slots: Any, values: Floats) -> None:
    """Set them, (n, MAX_POINTS)."""
    slots.value[: slots.used] = values[:, -1]
    slots.older[: slots.used] = np.clip(values[:, :-1], -MOST, MOST)
