"""What is usual at this time of other days, told with an anomaly that opens: of a job every night, and of no fault."""

from __future__ import annotations

import math
from functools import cache

import msgspec
import numpy as np
import pytest

from api.present import reading
from models.correlation.members import renewed
from models.detection.leaks import pull_back
from models.detection.state import restore, snapshot
from models.detection.usual import LAYOUT, Reading, Seen, _packed, _table, learn, usual
from models.surprise.kept import plain
from models.surprise.past import PAST
from models.surprise.rule import rule_of
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import SIGNALS, Anomaly, AnomalyReason, Health, Phase, Season
from schemas.topics import SIGNALS as SIGNALS_TOPIC
from streams.detect import stage
from tests.unit.detect_feed import Log, series, tolds
from tests.unit.test_detect_leaks import BEGIN, DAY, HOUR, HOURLY, MINUTE_MS, Level, Noisy, minutes

LATENCY = series("cart", Kind.LATENCY, unit="seconds")
RULE = rule_of(HOURLY.score.of(LATENCY.metric))
FAULT = 9 * DAY + 15 * HOUR
JOB = 0.4


def nightly(minute: int) -> float:
    """A job from two to three, every night."""
    return JOB if 2 * HOUR <= minute % DAY < 3 * HOUR else 0.1


def faulty(minute: int) -> float:
    return JOB if FAULT <= minute < FAULT + 6 * HOUR else nightly(minute)


def said(levels: list[tuple[SeriesDef, Noisy]], config: DetectConfig = HOURLY) -> list[Anomaly | Health]:
    """What the stage says of ten days, as it crosses the topic."""
    one = stage(config)
    state, found = one.restore(None), []
    for record in minutes(9.9, levels):
        outputs = one.apply(state, record, record.timestamp)
        found += [SIGNALS.validate_json(output.value) for output in outputs if output.topic == SIGNALS_TOPIC.name]
    return found


@cache
def told() -> list[Anomaly | Health]:
    return said([(LATENCY, Noisy(faulty))])


def opened(found: list[Anomaly | Health]) -> list[Anomaly]:
    return [one for one in found if isinstance(one, Anomaly) and one.phase is Phase.OPENED]


def hour_of(one: Anomaly) -> int:
    return (one.at - BEGIN) // MINUTE_MS % DAY // HOUR


def test_what_comes_every_night_is_told_as_usual_and_a_fault_is_not() -> None:
    nights = [one for one in opened(told()) if hour_of(one) == 2]
    (fault,) = [one for one in opened(told()) if one.at >= BEGIN + FAULT * MINUTE_MS]
    assert len(nights) >= 8, "the band sees each night anew"
    found = nights[-1].evidence.usual
    assert found is not None
    assert found.season is Season.DAY
    assert found.value == pytest.approx(JOB, rel=0.1)
    assert nights[0].evidence.usual is None, "one night is no season"
    assert fault.evidence.usual is None


def test_a_smooth_day_is_told_once_two_are_known_and_a_week_once_two_are() -> None:
    seen, found = Seen(), {}
    for minute in range(15 * DAY):
        learn([Reading(seen, math.sin(2 * math.pi * minute / DAY), RULE)], minute * MINUTE_MS)
        if minute % DAY == 6 * HOUR:  # the top of the day
            found[minute // DAY] = usual(seen, minute * MINUTE_MS, 1.0, 0.0)
    seasons = {day: one.season if one else None for day, one in found.items()}
    assert [seasons[day] for day in (0, 1, 2, 3, 13)] == [None, None, Season.DAY, Season.DAY, Season.DAY]
    assert seasons[14] is Season.WEEK, "which foretells it a little better"
    assert found[3] is not None
    assert found[3].value == pytest.approx(1.0, abs=0.05)


def test_it_is_told_as_an_anomaly_opens_and_never_after() -> None:
    later = [one for one in told() if isinstance(one, Anomaly) and one.phase is not Phase.OPENED]
    assert any(one.phase is Phase.CONTINUED and one.at >= BEGIN + FAULT * MINUTE_MS for one in later)
    assert not any(one.evidence.usual for one in later)
    assert not any(each.usual for one in told() if isinstance(one, Health) for each in one.series)


def test_of_what_fell_silent_nothing_is_usual() -> None:
    """Given a series that falls silent before the night's job, when that is noticed in the job's hour, then its old value says nothing of now."""
    other, night = series("till", Kind.LATENCY, unit="seconds"), 6 * DAY + 2 * HOUR
    log, levels = Log().define(LATENCY, other), Noisy(nightly).values(7 * DAY)
    for minute in range(0, night + HOUR, 5):
        at = BEGIN + minute * MINUTE_MS + 300
        level = 0.105 if minute == night - 10 else levels[minute]  # the last: a little nearer to the job's than its baseline
        log.rows([(LATENCY, at, level)] * (minute < night - 5) + [(other, at, 0.1)])
    found = [one for told in tolds(log.records, HOURLY) for one in told.signals if isinstance(one, Anomaly)]
    *_, silent = [one for one in found if one.phase is Phase.OPENED]
    assert (silent.reason, hour_of(silent)) == (AnomalyReason.SILENCE, 2)
    assert silent.evidence.usual is None


def test_what_was_usual_as_it_opened_stays_with_its_evidence_and_nothing_comes_after() -> None:
    night = next(one.evidence for one in opened(told()) if one.evidence.usual is not None)
    now = night.model_copy(update={"usual": None, "value": 0.5})
    assert (renewed(night, now).value, renewed(night, now).usual) == (0.5, night.usual)
    assert renewed(now, night).usual is None


def test_the_page_says_it() -> None:
    night = next(one.evidence for one in reversed(opened(told())) if one.evidence.usual is not None)
    assert reading(night, out=True).usual.endswith("ms is usual in this hour of other days")
    assert reading(night.model_copy(update={"usual": None}), out=True).usual == ""


def test_of_one_series_among_several_the_mean_says_nothing() -> None:
    two = [series("cart", Kind.LATENCY, unit="seconds", instance=f"i:{number}") for number in range(2)]
    found = opened(said([(two[0], Noisy(nightly)), (two[1], Noisy(lambda _: 0.1, 2))]))
    assert len([one for one in found if hour_of(one) == 2]) >= 8
    assert not any(one.evidence.usual for one in found)


@pytest.mark.parametrize("seed", range(8))
def test_noise_finds_no_season_that_explains_a_fault(seed: int) -> None:
    seen = Seen()
    values = Noisy(lambda minute: 0.1 if minute < 5 * HOUR else JOB, seed).values(7 * HOUR)
    for minute, value in enumerate(values):
        learn([Reading(seen, value, RULE)], BEGIN + minute * MINUTE_MS)
        if minute >= 5 * HOUR:
            assert usual(seen, BEGIN + minute * MINUTE_MS, value, 0.1) is None, minute


def fed(days: int, level: Level = nightly, every: int = 5) -> tuple[Seen, int]:
    seen = Seen()
    values = Noisy(level).values(days * DAY)
    for minute in range(0, days * DAY, every):
        learn([Reading(seen, values[minute], RULE)], BEGIN + minute * MINUTE_MS)
    return seen, BEGIN + days * DAY * MINUTE_MS


def test_a_reading_a_minute_does_as_well() -> None:
    seen, end = fed(6, every=1)
    night = usual(seen, end + 2 * HOUR * MINUTE_MS, JOB, 0.1)
    assert night is not None
    assert night.value == pytest.approx(JOB, rel=0.15)
    assert usual(seen, end + 15 * HOUR * MINUTE_MS, JOB, 0.1) is None


@pytest.mark.parametrize(("value", "is_told"), [(0.3, True), (0.4, True), (0.6, True), (1.0, False), (0.05, False)])
def test_only_what_is_most_of_a_departure_is_told(value: float, is_told: bool) -> None:
    seen, end = fed(6)
    assert (usual(seen, end + 2 * HOUR * MINUTE_MS, value, 0.1) is not None) == is_told


def test_weeks_are_told_apart() -> None:
    seen, end = fed(27, lambda minute: 0.5 if minute // DAY % 7 == 6 else 0.1)
    found = usual(seen, end + 5 * HOUR * MINUTE_MS, 0.5, 0.1)
    assert found is not None
    assert found.season is Season.WEEK


def test_a_restart_changes_nothing_and_a_past_of_another_layout_is_none() -> None:
    records = minutes(5, [(LATENCY, Noisy(nightly))])
    straight, state = restore(None, HOURLY), restore(None, HOURLY)
    wanted = [one.signals for one in tolds(records, HOURLY, straight)]
    found = []
    for number, record in enumerate(records):
        found += [one.signals for one in tolds([record], HOURLY, state)]
        if number % 7 == 0:
            state = restore(snapshot(state), HOURLY)
    assert found == wanted
    assert any(one.evidence.usual for each in found for one in each if isinstance(one, Anomaly))
    assert msgspec.msgpack.encode(state.leaks, enc_hook=plain) == msgspec.msgpack.encode(straight.leaks, enc_hook=plain)
    (course,) = state.leaks.courses.values()
    assert len(LAYOUT) < len(course.seen.past) < PAST.itemsize, "compressed"
    for wrong in (b"", course.seen.past[:-1], bytes(len(LAYOUT)) + course.seen.past[len(LAYOUT) :]):
        seen = Seen(wrong, course.seen.begun)
        learn([Reading(seen, 0.1, RULE)], BEGIN + 6 * DAY * MINUTE_MS)
        assert seen.begun == BEGIN + 6 * DAY * MINUTE_MS, "it begins anew"


def test_a_reading_again_or_from_before_changes_nothing() -> None:
    seen, end = fed(2)
    before = msgspec.msgpack.encode(seen)
    for at in (end - 5 * MINUTE_MS, end - DAY * MINUTE_MS):
        learn([Reading(seen, 9.0, RULE), Reading(Seen(), 0.1, RULE)], at)
    assert msgspec.msgpack.encode(seen) == before


def test_each_metric_goes_by_its_own_rule() -> None:
    quick = RULE._replace(level_rate=0.5)
    one, other, alone = Seen(), Seen(), Seen()
    for minute in range(0, 2 * HOUR, 5):
        value = 0.1 + minute / 1000
        learn([Reading(one, value, RULE), Reading(other, value, quick)], BEGIN + minute * MINUTE_MS)
        learn([Reading(alone, value, quick)], BEGIN + minute * MINUTE_MS)
    assert other.past == alone.past
    assert other.past != one.past


def test_what_a_source_ahead_had_brought_stops_no_reading_and_no_night_is_forgotten() -> None:
    state = restore(None, HOURLY)
    list(tolds(minutes(6, [(LATENCY, Noisy(nightly))]), HOURLY, state))
    (course,) = state.leaks.courses.values()
    than = BEGIN + (5 * DAY + 2 * HOUR) * MINUTE_MS
    assert usual(course.seen, than, JOB, 0.1) is not None
    pull_back(state.leaks, than)
    before = course.seen.past
    assert usual(course.seen, than, JOB, 0.1) is not None
    learn([Reading(course.seen, JOB, RULE)], than + MINUTE_MS)
    assert course.seen.past != before


@pytest.mark.parametrize("freedom", [4.0, 1000.0])
def test_what_is_improbable_beyond_counting_ends_nothing(freedom: float) -> None:
    seen, rule = Seen(), RULE._replace(freedom=freedom)
    for minute in range(300):
        value = 1e12 if minute == 299 else float(np.sin(minute))
        learn([Reading(seen, value, rule)], BEGIN + minute * MINUTE_MS)
    assert seen.past


def test_whatever_a_past_holds_comes_back() -> None:
    records = np.random.default_rng(1).integers(0, 256, (3, PAST.itemsize), np.uint8).view(PAST).reshape(-1)
    found = _table([Seen(past) for past in _packed(records)])
    assert found.tobytes() == records.tobytes()
    assert _table([]).shape == (0,)
