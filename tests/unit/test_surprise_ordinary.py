"""Faults in series whose noise is not normal: a range that is reached now and then is no place for a fault to hide in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cli.backtest.shapes import DAY, MINUTE_MS, NOISE, ORDINARY, WEEK
from models.surprise.past import LASTS, OPENED
from models.surprise.univariate import judge
from schemas.config.score import ScoreRule

ONSET, MINUTES = 4 * WEEK + 1000, 120
SEEDS = range(4)


def judged(value: np.ndarray) -> Any:
    return judge(np.arange(len(value)) * MINUTE_MS, value, ScoreRule())


def ordinary(name: str, count: int, seed: int) -> np.ndarray:
    return ORDINARY[name](np.arange(count), np.random.default_rng(seed))


@pytest.mark.parametrize("name", ["skewed", "hourly job", "steady", "by the day"])
def test_a_step_within_what_a_series_does_now_and_then_is_told_and_its_alarm_holds(name: str) -> None:
    told = 0
    for seed in range(10):
        value = ordinary(name, ONSET + DAY, seed)
        value[ONSET : ONSET + MINUTES] += 6 * value[:ONSET].std()
        alarmed = judged(value)["alarmed"]
        found = ONSET + int(np.argmax(alarmed[ONSET:]))
        if found - ONSET <= 15:
            told += 1
            assert alarmed[found : ONSET + MINUTES].mean() > 0.95
            assert np.argmin(alarmed[ONSET + MINUTES :]) <= 30
    assert told >= 8, "one in ten or so of the skewed has no point that is news"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_as_long_as_one_of_each_night_is_no_departure(seed: int) -> None:
    readings = judged(ordinary("daily batch job", 8 * WEEK, seed))[4 * WEEK :]
    assert np.count_nonzero((readings["event"] == OPENED) & (readings["cause"] == LASTS)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("days", [3, 7])
def test_after_an_outage_a_fault_of_the_other_side_is_told(days: int, seed: int) -> None:
    value = ordinary("steady", ONSET + (days + 1) * DAY, seed)
    value[ONSET : ONSET + 60] -= 20 * NOISE
    again = ONSET + days * DAY + 137
    value[again : again + MINUTES] += 6 * NOISE
    assert (judged(value)["event"][again : again + 15] == OPENED).any()
