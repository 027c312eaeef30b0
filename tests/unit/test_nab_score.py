"""The score of the Numenta Anomaly Benchmark, on a file small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cli.backtest.nab import PROFILES, best, score, truth

COUNT = 1000
AT = np.arange(COUNT) * 1000
WINDOW = (500_000, 599_000)  # rows 500 … 599
TRUTHS = {"a": truth(AT, [WINDOW]), "quiet": truth(AT, [])}


def alerts(*rows: int, quiet: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    found = {"a": np.zeros(COUNT), "quiet": np.zeros(COUNT)}
    found["a"][list(rows)] = 1.0
    found["quiet"][list(quiet)] = 1.0
    return found


def standard(*rows: int, quiet: tuple[int, ...] = ()) -> float:
    return score(TRUTHS, alerts(*rows, quiet=quiet), "standard", 0.5).score


def test_nothing_is_0_and_the_first_row_of_each_window_100() -> None:
    assert standard() == 0
    assert standard(500) == pytest.approx(100)


def test_the_earliest_alert_of_a_window_counts_and_later_is_less() -> None:
    assert standard(500, 550, 599) == standard(500)
    assert standard(500) > standard(550) > standard(599) > 50


def test_a_false_alert_costs_its_weight_and_less_just_behind_a_window() -> None:
    assert standard(500) - standard(500, quiet=(700,)) == pytest.approx(100 * 0.11 / 2)
    assert standard(500) - standard(400, 500) == pytest.approx(100 * 0.11 / 2)
    assert 0 < standard(500) - standard(500, 610) < 100 * 0.11 / 2
    assert standard(500) - standard(500, 950) == pytest.approx(100 * 0.11 / 2, rel=1e-6)


def test_the_first_15_percent_of_a_file_are_not_scored() -> None:
    assert standard(149, 500) == standard(500)
    assert standard(150, 500) < standard(500)


def test_profiles_weigh_misses_and_false_alerts() -> None:
    found = alerts(500, quiet=(700,))
    scores = {profile: score(TRUTHS, found, profile, 0.5).score for profile in PROFILES}
    assert scores["reward_low_FP_rate"] < scores["standard"] < scores["reward_low_FN_rate"]


def test_the_best_threshold_is_that_of_the_best_score() -> None:
    found = alerts(500)
    found["a"][500], found["a"][700], found["quiet"][800] = 0.9, 0.6, 0.95
    top = best(TRUTHS, found, "standard")
    by_hand = max((score(TRUTHS, found, "standard", at) for at in (0.6, 0.9, 0.95, 2.0)), key=lambda one: one.score)
    assert (top.score, top.threshold, top.hit, top.false) == (by_hand.score, 0.9, 1, 1)
