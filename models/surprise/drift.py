"""Slow leaks, which no point betrays: the Page-Hinkley test over hourly means, against the same hour of a day and of a week before.

A leak moves each hour a little; what learns from its own past follows it. The differences to the same hour of the day before and of the
week before both grow with it; a week-end differs from the day before alone, and the week after a fault from the week before alone. So
the smaller of the two counts, each in scales of its own: the mean magnitudes of the differences before.

Source: Page 1954, as river.drift.PageHinkley computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from river.drift import PageHinkley

from models.surprise.score_kernel import MEAN_AD_TO_SIGMA
from models.surprise.season_kernel import HOUR_MS
from schemas.config.score import ScoreRule

_DAY, _WEEK = 24, 168  # hours
_LEAST = 6  # points of an hour that has a mean
_SCALE_RATE = 0.01  # of the scale, an hour
_CLIP = 3.0  # scales
_CALM, _CALM_HOURS = 1.5, 3  # scales; so many hours in a row inside end a drift
_MOST = 6.0  # scales: an hour further off counts as that, so that one alone is no drift
_FLOOR_SHARE = 0.002  # of the level: a smaller difference is none


@dataclass(frozen=True)
class Drift:
    """From the end of hour `found` until the end of hour `over`, ms; `over` is None while it lasts."""

    found: int
    over: int | None


def drifts(at: NDArray[np.int64], value: NDArray[np.float64], config: ScoreRule) -> list[Drift]:
    """Return where a series drifted, each hour judged by what came before its end.

    Args: at (n,), ms, rising; value (n,), finite. There are none where an hour has fewer than six points.
    """
    hours, means = hourly(at, value)
    known = dict(zip(hours.tolist(), means.tolist(), strict=True))
    new_test = partial(PageHinkley, min_instances=_DAY, delta=config.drift_delta, threshold=config.drift_threshold, mode="both")
    test = new_test()
    by_day, by_week = _Differences(), _Differences()
    result: list[Drift] = []
    since: int | None = None
    calm = 0
    for hour, mean in known.items():
        day, week = known.get(hour - _DAY), known.get(hour - _WEEK)
        scaled = None if day is None else by_day.take(mean, day)
        other = None if week is None else by_week.take(mean, week)
        if scaled is None:
            continue
        if other is not None:
            scaled = min(scaled, other, key=abs) if scaled * other > 0 else 0.0
        test.update(min(max(scaled, -_MOST), _MOST))
        end = (hour + 1) * HOUR_MS
        if since is None:
            if test.drift_detected:
                since, calm = end, 0
            continue
        calm = calm + 1 if abs(scaled) < _CALM else 0
        if calm >= _CALM_HOURS or end - since >= 1000 * config.release_s:
            result.append(Drift(since, end))
            since, test = None, new_test()
    return [*result, *([Drift(since, None)] if since is not None else [])]


class _Differences:
    """The differences to one time before, and how large they usually are."""

    def __init__(self) -> None:
        self._scale = 0.0
        self._judged = 0

    def take(self, mean: float, before: float) -> float | None:
        """Return the difference in scales; None for the first day."""
        off, floor = mean - before, _FLOOR_SHARE * max(abs(mean), abs(before)) + 1e-12
        scale = max(self._scale, floor)
        self._judged += 1
        near = min(abs(off), _CLIP * scale) if self._judged > _DAY else abs(off)
        self._scale += max(_SCALE_RATE, 1.0 / self._judged) * (MEAN_AD_TO_SIGMA * near - self._scale)
        return off / scale if self._judged > _DAY else None


def hourly(at: NDArray[np.int64], value: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the hours that are over and have enough points, by number since 1970, and their means."""
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0)
    hour = at // HOUR_MS
    first = np.flatnonzero(np.diff(hour, prepend=hour[0] - 1))
    counts = np.diff(np.append(first, len(at)))
    means = np.add.reduceat(value, first) / counts
    enough = (counts >= _LEAST) & (hour[first] < hour[-1])
    return hour[first][enough], means[enough]
