"""Slow leaks: told within hours, and neither a week-end nor the week after a fault is one."""

from __future__ import annotations

import numpy as np
from river.drift import PageHinkley

from models.surprise.drift import HOUR_MS, Sums, drifts
from schemas.config.score import ScoreRule

MINUTE_MS = 60_000
HOURS = 24 * 28
CONFIG = ScoreRule()


def minutes(hours: int = HOURS, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(hours * 60) * MINUTE_MS
    return at, 100 + 5 * np.random.default_rng(seed).standard_normal(len(at))


def test_a_leak_of_one_percent_an_hour_is_told_within_a_day_and_while_it_lasts() -> None:
    at, value = minutes()
    begin = 24 * 26 * HOUR_MS
    value *= 1 + 0.01 * np.maximum(0, at - begin) / HOUR_MS
    found = drifts(at, value, ScoreRule(release_s=7 * 86_400))[-1]
    assert begin < found.found < begin + 24 * HOUR_MS
    assert found.over is None


def test_a_steady_series_and_its_days_and_weekends_are_no_leak() -> None:
    at, value = minutes()
    value += 30 * np.sin(2 * np.pi * at / (24 * HOUR_MS))
    value[at // (24 * HOUR_MS) % 7 >= 5] *= 0.5
    assert not [one for one in drifts(at, value, CONFIG) if one.found > 9 * 24 * HOUR_MS]  # of weeks it knows once it has seen one


def test_the_week_after_a_fault_is_no_leak() -> None:
    at, value = minutes()
    fault = (at >= 24 * 15 * HOUR_MS) & (at < 24 * 15 * HOUR_MS + 12 * HOUR_MS)
    value[fault] = 3.0
    assert not [one for one in drifts(at, value, CONFIG) if one.found > 24 * 18 * HOUR_MS]


def test_hours_with_few_points_have_no_mean() -> None:
    at = np.arange(24 * 28) * HOUR_MS
    assert not drifts(at, np.arange(len(at), dtype=float), CONFIG)
    assert not drifts(np.zeros(0, np.int64), np.zeros(0), CONFIG)


def test_what_is_kept_of_the_test_goes_on_as_rivers_own_would() -> None:
    """Given the same values, when the test is made anew for each of what was kept, then it says what one that goes on says."""
    river = PageHinkley(min_instances=24, delta=CONFIG.drift_delta, threshold=CONFIG.drift_threshold, mode="both")
    sums, rng = Sums(), np.random.default_rng(5)
    for hour in range(24 * 60):
        value = float(rng.standard_normal() + (1.5 if hour > 24 * 40 else 0.0))
        river.update(value)
        assert sums.take(value, CONFIG) is river.drift_detected
        if river.drift_detected:
            assert sums.rises
            break
    else:
        raise AssertionError("nothing drifted")
