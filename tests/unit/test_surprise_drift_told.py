"""When a drift is told: at the first point that tells nothing else, outside of any alarm, and by what came before that point alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.surprise.drift import Drift, drifts
from models.surprise.past import AGAIN, DRIFTED, DRIFTS, MISSING, NOTHING, OPENED, READING, RECOVERED
from models.surprise.univariate import AFTER_MS, _mark, before, judge
from schemas.config.score import ScoreRule

MINUTE = 60_000
DAY = 1440
ONSET = 16 * DAY
CONFIG = ScoreRule()


def leak(days: int = 20) -> np.ndarray:
    value = 100 + 5 * np.random.default_rng(4).standard_normal(days * DAY)
    value[ONSET:] *= 1 + 0.01 / 60 * np.arange(len(value) - ONSET)
    return value


def judged(value: np.ndarray, config: ScoreRule = CONFIG) -> Any:
    return judge(np.arange(len(value)) * MINUTE, value, config)


def first(readings: Any, kind: int, since: int = ONSET) -> int:
    return since + int(np.flatnonzero(readings["event"][since:] == kind)[0])


@pytest.fixture(scope="module")
def found() -> int:
    """The row at which the leak is told where nothing else is going on."""
    return first(judged(leak()), DRIFTS)


def spiked(row: int, points: int = 2) -> np.ndarray:
    value = leak()
    value[row : row + points] += 300
    return value


def test_a_leak_that_is_found_within_a_short_alarm_is_told_when_that_ends(found: int) -> None:
    """Given a spike of two points as the leak is found, when its alarm ends, then the leak is told with the next point."""
    readings = judged(spiked(found - 1))
    told, ended = first(readings, DRIFTS), first(readings, RECOVERED, found - 1)
    assert readings["alarmed"][found]
    assert ended == told - 1
    assert found < told < found + 30
    assert readings["alarmed"][told : first(readings, DRIFTED)].all()


def test_a_fault_of_hours_is_no_leak_once_it_is_over() -> None:
    """Given a step of eight hours, when its alarm has ended, then the drift that it looks like in hourly means is not told."""
    value = 100 + 5 * np.random.default_rng(4).standard_normal(20 * DAY)
    value[ONSET : ONSET + 480] += 50
    readings = judged(value)
    assert any(
        ONSET < one.found // MINUTE < ONSET + 480 < (one.over or 0) // MINUTE
        for one in drifts(np.arange(len(value)) * MINUTE, value, CONFIG)
    )
    assert not np.isin(readings["event"][ONSET : ONSET + DAY], (DRIFTS, DRIFTED)).any()
    assert not readings["alarmed"][ONSET + 500 : ONSET + DAY].any()


def test_a_leak_that_outlasts_an_alarm_of_hours_is_told_four_hours_after_it(found: int) -> None:
    """Given a step of two hours as a leak is found, when the leak goes on after it, then it is told, and not days later."""
    value = leak()
    value[found - 90 : found + 30] += 60
    readings = judged(value)
    ended = first(readings, RECOVERED, found + 30)
    told = first(readings, DRIFTS)
    assert ended < found + 60
    assert told - ended == AFTER_MS // MINUTE


def test_a_leak_that_is_found_at_a_point_that_tells_something_else_is_told_with_the_next(found: int) -> None:
    """Given a gap that ends as the leak is found, when the point is told as missing before, then the leak is told after it."""
    at = np.delete(np.arange(len(leak())), np.arange(found - 20, found))
    readings = judge(at * MINUTE, leak()[at], CONFIG)
    row = int(np.searchsorted(at, found))
    assert readings["event"][row : row + 2].tolist() == [MISSING, DRIFTS]


def test_the_end_of_a_drift_is_told_outside_of_any_alarm_too(found: int) -> None:
    """Given a spike as the drift ends, when its alarm has ended, then the end of the drift is told, and no longer counts as an alarm."""
    quiet = judged(leak())
    end = first(quiet, DRIFTED)
    readings = judged(spiked(end - 1))
    told = first(readings, DRIFTED)
    assert first(readings, DRIFTS) == found
    assert readings["event"][end] in (NOTHING, OPENED, AGAIN)
    assert end < told < end + 30
    assert not readings["alarmed"][told]


def test_a_drift_that_is_over_before_an_alarm_is_told_neither_at_its_begin_nor_at_its_end() -> None:
    """Given a step of two days and a half, when its alarm is open for all of them, then the drift that it is too is not told."""
    value = 100 + 5 * np.random.default_rng(4).standard_normal(20 * DAY)
    back = ONSET + 60 * 60
    value[ONSET:back] += 60
    config = ScoreRule(release_s=3 * 86_400)
    found = drifts(np.arange(len(value)) * MINUTE, value, config)
    assert any(ONSET < one.found // MINUTE < (one.over or 0) // MINUTE < back for one in found)
    readings = judged(value, config)
    assert readings["alarmed"][ONSET + 10 : back].all()
    assert not readings["alarmed"][back + 60 :].all()
    assert not np.isin(readings["event"][ONSET:], (DRIFTS, DRIFTED)).any()


def test_what_is_told_of_drifts_is_no_other_when_the_tail_is_cut_off(found: int) -> None:
    """Given spikes at the begin and the end, when the series is cut at any point near what is told, then what stands before is the same."""
    value = spiked(found - 1)
    end = first(judged(value), DRIFTED)
    value[end - 1 : end + 1] += 300
    whole = judged(value)
    for event in np.flatnonzero(whole["event"][found - 5 :]) + found - 5:
        for cut in (event, event + 1, event + 2):
            part = judged(value[:cut])
            for name in ("event", "alarmed"):
                assert np.array_equal(whole[name][:cut], part[name]), (event, cut, name)


def test_a_drift_that_is_found_before_the_end_of_the_last_was_told_is_told_after_it() -> None:
    readings = np.zeros(8, READING)
    readings["alarmed"][2:6] = True  # for some ms
    _mark(np.arange(8), readings, [Drift(0, 3), Drift(4, None)])
    assert readings["event"].tolist() == [DRIFTS, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, DRIFTED, DRIFTS]
    assert readings["alarmed"].tolist() == [True] * 6 + [False, True]


def test_the_band_of_before_is_that_which_ends_the_alarm() -> None:
    """Given a step, when its alarm is open, then the band is that of before, and the points that ended it were within."""
    value = 100 + 5 * np.random.default_rng(2).standard_normal(6000)
    value[5000:5300] += 60
    at, readings = np.arange(6000) * MINUTE, judged(value)
    middle, width = before(at, value, readings, CONFIG)
    opened, ended = first(readings, OPENED, 4990), first(readings, RECOVERED, 5000)
    assert np.isfinite(middle[4900:ended]).tolist() == readings["alarmed"][4900:ended].tolist()
    assert np.isnan(middle[ended])
    assert abs(middle[opened:ended] - 100).max() < 5
    inside = abs(value - middle)[opened:ended] <= width[opened:ended]
    assert not inside[: 5300 - opened].any()
    assert inside[5300 - opened :].tolist()[-(CONFIG.calm_points - 1) :] == [True] * (CONFIG.calm_points - 1)


def test_a_drift_alone_has_no_band_of_before(found: int) -> None:
    value = leak()
    readings = judged(value)
    middle, _ = before(np.arange(len(value)) * MINUTE, value, readings, CONFIG)
    assert readings["alarmed"][found]
    assert np.isnan(middle[found])
