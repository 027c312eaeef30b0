"""Alarms over one series: what opens them, what ends them, and what is found while one is open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.surprise.explain import CHANNEL_WORDS, because, explain
from models.surprise.past import AGAIN, CHANNELS, MISSING, NEW_NORMAL, OPENED, RECOVERED
from models.surprise.rule import rule_of
from models.surprise.univariate import judge
from schemas.config.score import ScoreConfig, ScoreRule, Weights

MINUTE = 60_000
CONFIG = ScoreRule()
FAULT = 6000


def steady(count: int, seed: int = 1) -> np.ndarray:
    return 100 + 5 * np.random.default_rng(seed).standard_normal(count)


def judged(value: np.ndarray, config: ScoreRule = CONFIG, every: int = MINUTE) -> Any:
    return judge(np.arange(len(value)) * every, value, config)


def events(readings: Any, kind: int) -> list[int]:
    return np.flatnonzero(readings["event"] == kind).tolist()


def test_a_step_is_in_alarm_for_as_long_as_it_lasts_and_no_longer() -> None:
    value = steady(FAULT + 1000)
    value[FAULT : FAULT + 600] += 50
    found = judged(value)
    assert events(found, OPENED)[-1] in (FAULT, FAULT + 1)
    assert found["alarmed"][FAULT + 1 : FAULT + 600].all()
    assert FAULT + 600 < events(found, RECOVERED)[-1] < FAULT + 620
    assert not found["alarmed"][FAULT + 620 :].any()


@pytest.mark.parametrize(("usual", "broken", "minutes"), [(1.0, 0.0, 10), (0.0, 1.0, 10), (0.0, 50.0, 60), (100.0, 110.0, 120)])
def test_a_departure_of_any_size_ends_its_alarm_with_its_recovery(usual: float, broken: float, minutes: int) -> None:
    """What was usual is that of before the point which opens the alarm: a hundredth of an outage is more than a flat line ever moved."""
    value, begun = (
        np.full(FAULT + 3000, usual),
        FAULT + 7,
    )  # within an hour: in the first week, the first point of each is what is usual then
    value[begun : begun + minutes] = broken
    found = judged(value)
    assert events(found, OPENED)[0] in (begun, begun + 1)
    assert found["alarmed"][begun + 1 : begun + minutes].all()
    assert events(found, NEW_NORMAL) == []
    assert events(found, RECOVERED)[0] < begun + minutes + 60
    assert not found["alarmed"][begun + minutes + 60 :].any()


def test_one_wild_point_blinds_nobody_for_what_comes_after_it() -> None:
    value = steady(FAULT + 10_000)
    wild = FAULT + 7
    later = wild + 4320
    value[wild] = 1e4
    value[later : later + 120] += 100
    found = judged(value)
    assert not found["alarmed"][wild + 60 : later].any()
    assert found["alarmed"][later + 5 : later + 120].all()


def test_a_fault_hardly_moves_what_is_expected_after_it() -> None:
    value = steady(FAULT + 700)
    value[FAULT : FAULT + 600] += 50
    found = judged(value)
    assert np.abs(found["expected"][FAULT + 620 :] - 100).max() < 10  # a fifth of it


def test_a_shift_that_lasts_is_the_new_normal_after_the_declared_time_and_is_said_to_be() -> None:
    value = steady(FAULT + 2000)
    value[FAULT:] += 50
    found = judged(value, ScoreRule(release_s=600 * 60))
    (said,) = events(found, NEW_NORMAL)
    assert FAULT + 600 <= said <= FAULT + 602
    assert not found["alarmed"][said + 1 :].any()
    assert abs(found["expected"][-1] - 150) < 5


def test_a_second_fault_within_the_first_is_found() -> None:
    value = steady(FAULT + 300)
    value[FAULT:] += 30
    value[FAULT + 100 :] += 60
    found = judged(value)
    assert any(FAULT + 100 <= row <= FAULT + 102 for row in events(found, AGAIN))


@pytest.mark.parametrize("size", [5.0, 50.0])
def test_noise_on_a_line_that_was_constant_is_new_some_times_and_not_with_each_point(size: float) -> None:
    """What an alarm is about moves, and its series never did: a band of what was usual is nothing then."""
    noise = size * np.random.default_rng(1).standard_normal(1400)
    found = judged(np.concatenate([np.full(FAULT, 100.0), 100 + noise]))
    assert len(events(found, OPENED)) == 1
    assert len(events(found, AGAIN)) <= 10
    assert found["alarmed"][FAULT + 1 :].all()


@pytest.mark.parametrize("heard", [2, 100])
def test_hours_without_a_point_are_not_hours_that_a_fault_lasted(heard: int) -> None:
    """A day and an hour without a point, in the alarm or while it is only suspected: it is no new normal with the next point."""
    value = steady(FAULT + 3000)
    value[FAULT : FAULT + 600] += 50 if heard > 2 else 28
    at = np.arange(len(value)) * MINUTE
    at[FAULT + heard :] += 25 * 60 * MINUTE
    found = judge(at, value, CONFIG)
    assert [row for row in events(found, NEW_NORMAL) if row < FAULT + 600] == []
    assert found["alarmed"][FAULT + heard + 10 : FAULT + 600].all()
    assert not found["alarmed"][FAULT + 630 : FAULT + 900].any()


@pytest.mark.parametrize(("outage", "days"), [(60, 1), (60, 3), (360, 3)])
def test_most_faults_of_the_other_side_are_found_days_after_an_outage(outage: int, days: int) -> None:
    """What came back from the outage was as far above the level that had followed it as the outage was below: that was no fault of that side."""
    begun, found = FAULT + outage + days * 1440, 0
    for seed in range(8):
        value = steady(begun + 400, seed)
        value[FAULT : FAULT + outage] = 0.0
        value[begun : begun + 120] += 30
        found += any(begun <= row < begun + 15 for row in events(judged(value), OPENED))
    assert found >= 5


@pytest.mark.parametrize("hours", [4, 6, 12])
def test_the_end_of_what_came_slowly_is_no_alarm_for_a_day(hours: int) -> None:
    """The level followed the ramp: to come back from it at once is far from the level, and where the series was for weeks before."""
    value, lasts = steady(21 * 1440), 60 * hours
    begun = len(value) - 3000
    value[begun : begun + lasts] += np.linspace(0, 50, lasts)
    found = judged(value)
    assert found["alarmed"][begun + lasts :].sum() < 300  # of them the drift's, which three calm hours end
    assert events(found, NEW_NORMAL) == []


@pytest.mark.parametrize("seed", range(1, 7))
def test_noise_that_grew_is_in_alarm_for_as_long_as_it_lasts_although_most_of_its_points_are_calm(seed: int) -> None:
    value, lasts = steady(FAULT + 3000, seed), 720
    value[FAULT : FAULT + lasts] += np.sqrt(8) * 5 * np.random.default_rng(100 + seed).standard_normal(lasts)
    alarmed = judged(value)["alarmed"]
    begun = FAULT + int(np.flatnonzero(alarmed[FAULT : FAULT + 60])[0])
    assert alarmed[begun + 48 : FAULT + lasts].mean() > 0.97  # at first it is not known that it is noise
    assert not alarmed[FAULT + lasts + 240 :].any()


def test_one_spike_is_one_short_alarm() -> None:
    value = steady(FAULT + 500)
    value[FAULT] += 80
    found = judged(value)
    assert events(found, OPENED)[-1] == FAULT
    assert found["score"][FAULT] > 0.5
    assert not found["alarmed"][FAULT + 20 :].any()


def test_a_departure_that_lasts_is_an_alarm_although_one_point_of_it_was_no_news() -> None:
    value = steady(FAULT + 300)
    value[1000:1003] += 60
    value[FAULT:] += 60
    assert judged(value, ScoreRule(alarm=50))["alarmed"][FAULT + 20 :].all()


def test_a_line_that_goes_flat_is_found() -> None:
    value = steady(FAULT + 720)
    value[FAULT:] = value[FAULT - 1]
    found = judged(value)
    assert any(FAULT < row <= FAULT + 31 for row in events(found, OPENED))
    assert found["alarmed"][FAULT + 31 :].all()


def test_equal_values_in_a_row_that_are_usual_are_no_line_that_is_stuck() -> None:
    value = np.round(steady(4000) / 20) * 20
    value[1000:1200] = 100.0
    value[3000:3200] = 100.0
    assert not any(3000 < row < 3200 for row in events(judged(value), OPENED))


@pytest.mark.parametrize("constant", [0.0, 5.0, 1e12, -3.5])
def test_a_constant_series_is_never_remarkable_and_the_first_other_value_is(constant: float) -> None:
    value = np.full(3000, constant)
    value[2500] += 1.0 if abs(constant) < 1e6 else 1e9
    found = judged(value)
    assert found["score"][:2500].max() < 0.01
    assert found["score"][2500] > 0.5


def test_a_gap_is_told_at_its_end_and_gaps_that_are_usual_are_not() -> None:
    at = np.delete(np.arange(3000), np.arange(2000, 2030)) * MINUTE
    found = judge(at, steady(len(at)), CONFIG)
    assert events(found, MISSING) == [2000]
    often = np.flatnonzero(np.arange(3000) % 40 >= 20) * MINUTE
    assert not events(judge(often, steady(len(often)), CONFIG), MISSING)


def test_no_row_is_judged_before_the_warm_up() -> None:
    value = steady(49)
    value[20] = 1e6
    found = judged(value)
    assert not found["score"].any()
    assert "nothing is said before 50 points" in explain(np.arange(49) * MINUTE, value, found, 20, CONFIG)


@pytest.mark.parametrize(
    ("at", "value", "words"), [([0, 1, 1], [1, 2, 3], "point 3 is not later"), ([0, 1], [1, np.inf], "point 2 is not a finite")]
)
def test_what_cannot_be_judged_is_said(at: list[int], value: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        judge(np.array(at, np.int64), np.array(value, float), CONFIG)


def test_an_override_holds_for_the_series_that_its_pattern_names() -> None:
    config = ScoreConfig(series={"*_cpu": {"alarm": 9.0}})
    assert config.of("web_cpu").alarm == 9.0
    assert config.of("web_memory") == ScoreRule()
    assert rule_of(config.of("web_cpu")).alarm == 9.0
    assert rule_of(ScoreConfig()) == rule_of(ScoreRule())
    with pytest.raises(ValueError, match="alrm"):
        ScoreConfig(series={"*": {"alrm": 9.0}})
    with pytest.raises(ValueError, match="alrm"):
        ScoreConfig(series={"*": {"alarm": 9.0}, "web": {"alrm": 9.0}})


def test_an_override_of_one_weight_leaves_the_others_as_the_file_has_them() -> None:
    config = ScoreConfig(weights=Weights(level=0.3), series={"a": {"weights": {"shift": 0.4}}})
    assert config.of("a").weights == Weights(level=0.3, shift=0.4)


@pytest.mark.parametrize("value", [1e308, 1e300, 1e39])
def test_values_beyond_all_bounds_leave_every_figure_finite(value: float) -> None:
    for series in ([value, -value] * 500, [value] * 500 + [-value] * 500, [0.0, value] * 500):
        found = judged(np.array(series))
        assert np.isfinite(found["expected"]).all()
        assert np.isfinite(found["score"]).all()
    assert judged(np.array([value] * 500 + [-value] * 500))["score"][500] > 0.5


def test_it_is_said_why_an_alarm_opened() -> None:
    stuck, lasting = steady(FAULT + 100), steady(FAULT + 100)
    stuck[FAULT:] = stuck[FAULT - 1]
    lasting[FAULT:] += 60
    for value, config, words in (
        (stuck, CONFIG, "the same value for far longer than is usual"),
        (lasting, ScoreRule(alarm=50), "it stays away from what was usual"),
        (lasting, CONFIG, "the distance from what was expected"),
    ):
        found = judged(value, config)
        assert words in because(found[events(found, OPENED)[-1]])


def test_a_series_is_due_after_three_intervals_and_later_where_longer_gaps_are_usual() -> None:
    assert judged(steady(200))["due"][-1] == (199 + 3) * MINUTE
    at = np.delete(np.arange(300), np.arange(100, 110)) * MINUTE
    assert judge(at, steady(len(at)), CONFIG)["due"][-1] > (299 + 15) * MINUTE


def test_every_channel_has_words() -> None:
    assert len(set(CHANNEL_WORDS)) == CHANNELS


def test_the_words_name_the_channel_the_expectation_and_the_history() -> None:
    value = steady(FAULT + 1)
    value[FAULT] += 80
    lines = explain(np.arange(len(value)) * MINUTE, value, judged(value), FAULT, CONFIG)
    text = "\n".join(lines)
    assert "expected 9" in text or "expected 10" in text
    assert "6000 points over 4.2 days" in text
    assert "the distance from what was expected" in text
    assert "an alarm opened" in text
