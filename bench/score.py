"""How many points a second the score of single series takes in one thread: of one series, and of many in turn, with long pasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.figures import Figure, Goal
from models.surprise.past import PAST, READING, empty
from models.surprise.rule import rule_of
from models.surprise.score_kernel import run as judge
from schemas.config.score import ScoreRule

MINUTE_MS = 60_000
BEFORE = 6_000  # points that each series has behind it: its histograms forget by then
GOALS = (Goal("one series", 10_000, unit="points/s"), Goal("many series", 1_000_000, unit="points/s"))


@dataclass
class Plan:
    points: int = 2_000_000
    series: int = 1000
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Judge noise: what it costs does not depend on the values."""
    yield Figure("score", "the past of a series", PAST.itemsize, "bytes")
    for name, series in (("one series", 1), ("many series", plan.series)):
        past, rule = empty(series), rule_of(ScoreRule())
        _judged(past, rule, 0, BEFORE)
        took = _judged(past, rule, BEFORE, max(1, plan.points // series))
        points = series * max(1, plan.points // series)
        yield Figure("score", name, points / took, "points/s", at={"series": series, "points": points})


def _judged(past: Any, rule: Any, first: int, count: int) -> float:
    """Return the seconds that so many points of each series take, which begin at this number."""
    series = len(past)
    numbers = np.tile(np.arange(series), count)
    at = np.repeat((first + np.arange(count)) * MINUTE_MS, series)
    value, readings = np.random.default_rng(first).standard_normal(len(at)), np.zeros(len(at), READING)
    begun = time.perf_counter()
    judge(past, numbers, at, value, rule, readings)
    return time.perf_counter() - begun
