"""Restarts as detect sees them: being down for long and dying again are signals, one restart and what it resets are not."""

from __future__ import annotations

from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import Phase
from tests.unit.detect_cart import CACHE, MEMORY, REQUESTS, UP, seconds
from tests.unit.detect_feed import anomalies, each_second, phases


def test_a_service_that_is_down_for_three_seconds_is_ordinary_and_for_ten_is_not() -> None:
    assert anomalies(each_second(120, lambda i: [(UP, 0.0 if 60 <= i < 63 else 1.0)], UP)) == []
    (opened,) = phases(each_second(120, lambda i: [(UP, 0.0 if 60 <= i < 70 else 1.0)], UP), Phase.OPENED)
    assert opened.evidence.kind is Kind.UP
    assert seconds(opened.at) <= 67


def crashing(first: int, times: int, lives: int = 5, down: int = 2):
    """A process that counts requests, dies after so many seconds of life and is away for some."""

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        since = i - first
        period = lives + down
        if since < 0 or since >= times * period:
            age = i if since < 0 else since - times * period + 1
            return [(REQUESTS, 40.0 * age), (UP, 1.0)]
        if since % period < down:
            return [(UP, 0.0)]
        return [(REQUESTS, 40.0 * (since % period - down) + 5), (UP, 1.0)]

    return second


def test_a_crash_loop_is_a_loop_by_its_second_death() -> None:
    opened = phases(each_second(120, crashing(65, 6), REQUESTS, UP), Phase.OPENED)
    restarts = [one for one in opened if one.evidence.kind is Kind.RESTARTS]
    assert len(restarts) == 1
    assert seconds(restarts[0].at) <= 65 + 7 + 3
    assert {one.evidence.kind for one in opened} <= {Kind.RESTARTS, Kind.REQUESTS}


def test_one_restart_is_silent() -> None:
    assert phases(each_second(180, crashing(65, 1), REQUESTS, UP, MEMORY), Phase.OPENED) == []


def test_two_counter_resets_a_minute_apart_from_a_deploy_and_a_rollback_are_silent() -> None:
    value = lambda i: 40.0 * (i if i < 60 else i - 60 if i < 95 else i - 95)  # noqa: E731
    assert phases(each_second(180, lambda i: [(REQUESTS, value(i)), (UP, 1.0)], REQUESTS, UP), Phase.OPENED) == []


def test_a_cold_cache_after_a_restart_is_not_judged() -> None:
    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(REQUESTS, 40.0 * (i if i < 60 else i - 60)), (CACHE, 0.3 if 60 <= i < 70 else 0.9)]

    assert phases(each_second(120, second, REQUESTS, CACHE), Phase.OPENED) == []
