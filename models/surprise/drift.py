"""Slow leaks, which no point betrays: the Page-Hinkley test over hourly means, against the same hour of a day and of a week before.

A leak moves each hour a little; what learns from its own past follows it. The differences to the same hour of the day before and of the
week before both grow with it; a week-end differs from the day before alone, and the week after a fault from the week before alone. So
the smaller of the two counts, each in scales of its own: the mean magnitudes of the differences before.

Source: Page 1954, as river.drift.PageHinkley computes it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.surprise.past import DRIFTED, DRIFTS, NOTHING
from models.surprise.score_kernel import MEAN_AD_TO_SIGMA
from models.surprise.season_kernel import HOUR_MS
from schemas.config.score import ScoreRule

DAY, WEEK = 24, 168  # hours
LEAST = 6  # points of an hour that has a mean
_SCALE_RATE = 0.01  # of the scale, an hour
_CLIP = 3.0  # scales
_CALM, _CALM_HOURS = 1.5, 3  # scales; so many hours in a row inside end a drift
_MOST = 6.0  # scales: an hour further off counts as that, so that one alone is no drift
_FLOOR_SHARE = 0.002  # of the level: a smaller difference is none

if TYPE_CHECKING:
    Means = array[float]
else:
    Means = array  # which takes no parameter, and msgspec asks for the type


@cache
def page_hinkley() -> Any:
    """Return river's test, loaded at the first call: SciPy comes with it, which takes longer than all else that detect loads."""
    from river.drift import PageHinkley  # noqa: PLC0415

    return PageHinkley


@dataclass(frozen=True)
class Drift:
    """From the end of hour `found` until the end of hour `over`, ms; `over` is None while it lasts."""

    found: int
    over: int | None


class Differences(msgspec.Struct, gc=False):
    """The differences to one time before, and how large they usually are."""

    scale: float = 0.0
    judged: int = 0

    def take(self, mean: float, before: float) -> float | None:
        """Return the difference in scales; None for the first day."""
        off, floor = mean - before, _FLOOR_SHARE * max(abs(mean), abs(before)) + 1e-12
        scale = max(self.scale, floor)
        self.judged += 1
        near = min(abs(off), _CLIP * scale) if self.judged > DAY else abs(off)
        self.scale += max(_SCALE_RATE, 1.0 / self.judged) * (MEAN_AD_TO_SIGMA * near - self.scale)
        return off / scale if self.judged > DAY else None


class Sums(msgspec.Struct, gc=False):
    """What river's PageHinkley adds up, so that a snapshot holds it."""

    count: float = 0.0
    mean: float = 0.0
    rise: float = 0.0
    fall: float = 0.0
    least: float = np.inf  # of rise
    most: float = -1.0  # of fall

    def take(self, value: float, rule: ScoreRule) -> bool:
        """Take a value; tell whether the sum of those before it and of this one is a drift."""
        test = page_hinkley()(min_instances=DAY, delta=rule.drift_delta, threshold=rule.drift_threshold, mode="both")
        mean = test._x_mean  # noqa: SLF001 - river keeps what it adds up to itself; a test holds this equal to a test that goes on
        mean.n, mean._mean = self.count, self.mean  # noqa: SLF001
        test._sum_increase, test._sum_decrease = self.rise, self.fall  # noqa: SLF001
        test._min_increase, test._max_decrease = self.least, self.most  # noqa: SLF001
        test.update(value)
        self.count, self.mean = mean.n, mean._mean  # noqa: SLF001
        self.rise, self.fall = test._sum_increase, test._sum_decrease  # noqa: SLF001
        self.least, self.most = test._min_increase, test._max_decrease  # noqa: SLF001
        return bool(test.drift_detected)

    @property
    def rises(self) -> bool:
        """Tell whether it is the rise that is the larger of the two."""
        return self.rise - self.least > self.most - self.fall


class Leak(msgspec.Struct, gc=False):
    """What is kept of a series of hourly means: those of a week, how far they usually are from those before, and the test."""

    hour: int | None = None  # since 1970; the newest that was taken
    means: Means = msgspec.field(default_factory=lambda: array("f"))  # of the hour at its number modulo a week's, or NaN
    by_day: Differences = msgspec.field(default_factory=Differences)
    by_week: Differences = msgspec.field(default_factory=Differences)
    sums: Sums = msgspec.field(default_factory=Sums)
    since: int | None = None  # ms: it drifts since then
    rises: bool = False
    calm: int = 0  # hours in a row, of a drift
    day: float | None = None  # the mean a day before the newest hour; None where there was none
    week: float | None = None

    @property
    def mean(self) -> float:
        """Return that of the newest hour."""
        return np.nan if self.hour is None else self.means[self.hour % WEEK]

    @property
    def sure(self) -> bool:
        """Tell whether weeks are known: without, a first week-end looks like a leak."""
        return self.by_week.judged > DAY

    def take(self, hour: int, mean: float, rule: ScoreRule) -> int:
        """Take the mean of the next hour that has one; return DRIFTS, DRIFTED or NOTHING, as of its end."""
        self.day, self.week = day, week = self._before(hour)
        self.hour, self.means[hour % WEEK] = hour, mean
        scaled = None if day is None else self.by_day.take(mean, day)
        other = None if week is None else self.by_week.take(mean, week)
        if scaled is None:
            return NOTHING
        if other is not None:
            scaled = min(scaled, other, key=abs) if scaled * other > 0 else 0.0
        end = (hour + 1) * HOUR_MS
        if self.since is None:
            if not self.sums.take(min(max(scaled, -_MOST), _MOST), rule):
                return NOTHING
            self.since, self.rises, self.calm = end, self.sums.rises, 0
            return DRIFTS
        self.calm = self.calm + 1 if abs(scaled) < _CALM else 0
        if self.calm < _CALM_HOURS and end - self.since < 1000 * rule.release_s:
            return NOTHING
        self.since, self.sums = None, Sums()
        return DRIFTED

    def _before(self, hour: int) -> tuple[float | None, float | None]:
        """Return the means a day and a week before this hour; of the hours without one in between there is none."""
        if self.hour is None or hour - self.hour > WEEK:
            self.means = array("f", [np.nan]) * WEEK
        else:
            week = self.means[hour % WEEK]
            for missing in range(self.hour + 1, hour):
                self.means[missing % WEEK] = np.nan
            day = self.means[(hour - DAY) % WEEK]
            return None if np.isnan(day) else day, None if np.isnan(week) else week
        return None, None


def drifts(at: NDArray[np.int64], value: NDArray[np.float64], config: ScoreRule) -> list[Drift]:
    """Return where a series drifted, each hour judged by what came before its end.

    Args: at (n,), ms, rising; value (n,), finite. There are none where an hour has fewer than six points.
    """
    result: list[Drift] = []
    leak, since = Leak(), 0
    for hour, mean in zip(*(column.tolist() for column in hourly(at, value)), strict=True):
        event, end = leak.take(hour, mean, config), (hour + 1) * HOUR_MS
        if event == DRIFTS:
            since = end
        elif event == DRIFTED:
            result.append(Drift(since, end))
    return [*result, *([Drift(leak.since, None)] if leak.since is not None else [])]


def hourly(at: NDArray[np.int64], value: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the hours that are over and have enough points, by number since 1970, and their means."""
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0)
    hour = at // HOUR_MS
    first = np.flatnonzero(np.diff(hour, prepend=hour[0] - 1))
    counts = np.diff(np.append(first, len(at)))
    means = np.add.reduceat(value, first) / counts
    enough = (counts >= LEAST) & (hour[first] < hour[-1])
    return hour[first][enough], means[enough]
