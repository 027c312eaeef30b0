"""Series whose truth is known: shapes of faults put into ordinary ones, and ordinary ones that must raise no alarm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.past import AGAIN, DRIFTED, DRIFTS, MISSING, OPENED
from models.surprise.univariate import judge
from schemas.config.score import ScoreRule

MINUTE_MS, DAY = 60_000, 1440  # a point a minute
WEEK = 7 * DAY
WARM_WEEKS = 4  # of history, before anything counts
JUDGED_WEEKS = 4  # of an ordinary series
AFTER = 2 * DAY  # that are looked at after a fault
LEVEL, NOISE = 100.0, 5.0
_MONDAY = 4 * DAY  # the epoch was a Thursday

Values = NDArray[np.float64]
Draw = np.random.Generator


def _hour(minute: NDArray[np.int64]) -> Values:
    return minute % DAY / 60


def _steady(minute: NDArray[np.int64], draw: Draw) -> Values:
    return LEVEL + NOISE * draw.standard_normal(len(minute))


def _correlated(minute: NDArray[np.int64], draw: Draw) -> Values:
    found, steps = np.empty(len(minute)), 2.2 * draw.standard_normal(len(minute))
    last = 0.0
    for i, step in enumerate(steps.tolist()):
        last = 0.9 * last + step
        found[i] = last
    return LEVEL + found


def _daily(minute: NDArray[np.int64], draw: Draw) -> Values:
    found: Values = _steady(minute, draw) + 30 * np.sin(2 * np.pi * minute / DAY)
    return found


def _weekly(minute: NDArray[np.int64], draw: Draw) -> Values:
    weekend = (minute - _MONDAY) % WEEK >= 5 * DAY
    return (LEVEL + 30 * np.sin(2 * np.pi * minute / DAY)) * np.where(weekend, 0.5, 1.0) + NOISE * draw.standard_normal(len(minute))


def _skewed(minute: NDArray[np.int64], draw: Draw) -> Values:
    return draw.lognormal(3, 0.5, len(minute))


def _counts(minute: NDArray[np.int64], draw: Draw) -> Values:
    return draw.poisson(3, len(minute)).astype(np.float64)


def _mostly_zero(minute: NDArray[np.int64], draw: Draw) -> Values:
    return np.where(draw.random(len(minute)) < 0.02, draw.exponential(5, len(minute)), 0.0)


def _flat(minute: NDArray[np.int64], draw: Draw) -> Values:
    return np.full(len(minute), draw.integers(0, 3) * LEVEL)


def _daily_job(minute: NDArray[np.int64], draw: Draw) -> Values:
    hour = _hour(minute)
    return 20 + NOISE * draw.standard_normal(len(minute)) + 60 * ((hour >= 2) & (hour < 2.5))


def _hourly_job(minute: NDArray[np.int64], draw: Draw) -> Values:
    return 20 + 3 * draw.standard_normal(len(minute)) + 40 * (minute % 60 < 2)


def _deploys(minute: NDArray[np.int64], draw: Draw) -> Values:
    found = _steady(minute, draw)
    for begin in draw.integers(0, len(minute), len(minute) // DAY).tolist():
        found[begin : begin + 3] += 40
    return found


ORDINARY: dict[str, Callable[[NDArray[np.int64], Draw], Values]] = {
    "steady": _steady,
    "correlated": _correlated,
    "by the day": _daily,
    "week-end": _weekly,
    "skewed": _skewed,
    "counts": _counts,
    "mostly zero": _mostly_zero,
    "flat": _flat,
    "daily batch job": _daily_job,
    "hourly job": _hourly_job,
    "deploy blips": _deploys,
}
_BASES = (_steady, _correlated, _daily, _weekly)


@dataclass(frozen=True)
class Shape:
    """A fault: `change` alters the values from a row on, in place; rows that it makes NaN are not there. `within`: minutes."""

    change: Callable[[Values, int], None]
    within: int
    lasts: int  # minutes that are judged
    second: int = 0  # minutes after the onset at which a second one comes, and that is looked for
    over: bool = False  # after so long, and then all is as before: until then the alarm is to hold


def _add(size: float, minutes: int) -> Callable[[Values, int], None]:
    def change(value: Values, row: int) -> None:
        value[row : row + minutes] += size * NOISE

    return change


def _leak(value: Values, row: int) -> None:
    value[row:] *= 1 + 0.01 / 60 * np.arange(len(value) - row)


def _noisy(value: Values, row: int) -> None:
    value[row : row + 360] += math.sqrt(8) * NOISE * np.random.default_rng(row).standard_normal(len(value[row : row + 360]))


def _set(found: float, minutes: int) -> Callable[[Values, int], None]:
    def change(value: Values, row: int) -> None:
        value[row : row + minutes] = found

    return change


def _stuck(value: Values, row: int) -> None:
    value[row : row + 720] = value[row - 1]


def _twice(value: Values, row: int) -> None:
    value[row : row + 180] += 6 * NOISE
    value[row + 60 : row + 180] += 8 * NOISE


def _long_after(value: Values, row: int) -> None:
    outage = row - 3 * DAY
    value[outage : outage + 60] = 0.0
    value[row : row + 120] += 6 * NOISE


FAULTS = {
    "step of 6 sigma, 2 hours": Shape(_add(6, 120), 15, 120, over=True),
    "spike of 10 sigma, 2 points": Shape(_add(10, 2), 2, 5),
    "slow leak, 1 % an hour": Shape(_leak, 2 * DAY, 2 * DAY),
    "variance times 9, 6 hours": Shape(_noisy, 60, 360, over=True),
    "level shift of 6 sigma, for good": Shape(_add(6, 10 * DAY), 15, 2 * DAY),
    "outage to zero, 1 hour": Shape(_set(0.0, 60), 5, 60, over=True),
    "flat line, 12 hours": Shape(_stuck, 360, 720, over=True),
    "missing, 30 minutes": Shape(_set(np.nan, 30), 5, 60),
    "second fault in the first": Shape(_twice, 15, 180, second=60, over=True),
    "step of 6 sigma, 3 days after an outage": Shape(_long_after, 15, 120, over=True),
}


@dataclass(frozen=True)
class Found:
    """How a shape was found: `delays` in minutes, of the runs where it was found in time."""

    name: str
    runs: int
    delays: tuple[float, ...]
    within: int
    held: float | None  # share of the fault, once found, in which the alarm was open; None of one that does not end, or has no points
    after: float | None  # minutes that the alarm outlasts the fault, usually


@dataclass(frozen=True)
class Quiet:
    """How often an ordinary series raised an alarm."""

    name: str
    alarms: int
    leaks: int  # of them; they are what the stage tells of, too
    weeks: int

    @property
    def rate(self) -> float:
        return self.alarms / self.weeks

    @property
    def bound(self) -> float:
        return upper_bound(self.alarms) / self.weeks


def faults(runs: int, seed: int, config: ScoreRule) -> Iterator[Found]:
    """Put each shape into so many series, with four to five weeks of history each; return how each was found."""
    for number, (name, shape) in enumerate(FAULTS.items()):
        delays, held, after = [], [], []
        for run in range(runs):
            draw = np.random.default_rng([seed, number, run])
            onset = WARM_WEEKS * WEEK + int(draw.integers(0, WEEK))
            minute = np.arange(onset + shape.lasts + AFTER)
            value = _BASES[run % len(_BASES)](minute, draw)
            shape.change(value, onset)
            there = np.isfinite(value)
            readings = judge(minute[there] * MINUTE_MS, value[there], config)
            delay = _delay(minute, there, readings, onset + shape.second, shape)
            if delay is not None:
                delays.append(delay)
                if shape.over:
                    alarmed, end = readings["alarmed"], onset + shape.lasts
                    held.append(float(np.mean(alarmed[onset + shape.second + int(delay) : end])))
                    after.append(float(np.argmin(np.append(alarmed[end:], False))))
        lasted = (float(np.mean(held)), float(np.median(after))) if held else (None, None)
        yield Found(name, runs, tuple(delays), shape.within, *lasted)


def _delay(minute: NDArray[np.int64], there: NDArray[np.bool_], readings: Any, onset: int, shape: Shape) -> float | None:
    wanted = (OPENED, AGAIN, DRIFTS) if shape.second == 0 else (OPENED, AGAIN)
    at = minute[there][np.isin(readings["event"], wanted)].astype(np.float64)
    if not there[onset]:  # while no point comes, it is the clock that tells
        at = np.array([readings["due"][np.count_nonzero(there[:onset]) - 1] / MINUTE_MS])
    late = at[(at >= onset) & (at <= onset + shape.within)]
    return float(late[0] - onset) if len(late) else None


def quiet(weeks: int, seed: int, config: ScoreRule) -> Iterator[Quiet]:
    """Judge ordinary series for about so many weeks in all, each after four weeks of history."""
    each = math.ceil(weeks / JUDGED_WEEKS / len(ORDINARY))
    minute = np.arange((WARM_WEEKS + JUDGED_WEEKS) * WEEK)
    for number, (name, make) in enumerate(ORDINARY.items()):
        counts = np.zeros(DRIFTED + 1, np.int64)
        for run in range(each):
            readings: Any = judge(minute * MINUTE_MS, make(minute, np.random.default_rng([seed, 100 + number, run])), config)
            counts += np.bincount(readings["event"][WARM_WEEKS * WEEK :], minlength=len(counts))
        yield Quiet(name, int(counts[[OPENED, AGAIN, MISSING, DRIFTS]].sum()), int(counts[DRIFTS]), each * JUDGED_WEEKS)


def upper_bound(count: int) -> float:
    """Return the upper end of the 95 % interval of a Poisson mean of which `count` were seen (Garwood 1936).

    The quantile of chi-squared by Wilson & Hilferty 1931.
    """
    freedom = 2 * count + 2
    return float(freedom / 2 * (1 - 2 / (9 * freedom) + 1.959964 * math.sqrt(2 / (9 * freedom))) ** 3)
