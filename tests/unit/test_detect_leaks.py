"""Slow leaks on the live stream: told once a week is known, in the bad direction alone, and nothing is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from prometheus_client import REGISTRY

from models.detection.state import DetectState, restore, snapshot
from models.surprise.kept import plain
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.samples import SeriesDef
from schemas.topics import NOTICES
from streams.detect import stage
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import Record
from tests.unit.detect_cart import CACHE, MB, MEMORY, UP
from tests.unit.detect_feed import CONFIG, T0, Log, series, tolds

HOUR, MINUTE_MS = 60, 60_000
EVERY = 5  # minutes
DAY = 24 * HOUR
WEEK = 7 * DAY
HOURLY = DetectConfig.model_validate({**CONFIG.model_dump(), "health_s": 300.0, "health_watched_s": 300.0, "idle_s": 1e6})
BEGIN = T0 // 3_600_000 * 3_600_000

CPU = series("cart", Kind.CPU)
Level = Callable[[int], float]


@dataclass(frozen=True)
class Noisy:
    """A level around which values lie a little."""

    level: Level
    seed: int = 1

    def values(self, minutes: int) -> list[float]:
        noise = 1 + 0.01 * np.random.default_rng(self.seed).standard_normal(minutes)
        return [self.level(minute) * float(one) for minute, one in enumerate(noise)]


def minutes(days: float, levels: Sequence[tuple[SeriesDef, Noisy]], batch: int = HOUR) -> list[Record]:
    """Scrape every five minutes, `batch` minutes a record."""
    log = Log().define(*(one for one, _ in levels))
    values = [(one, noisy.values(round(days * DAY))) for one, noisy in levels]
    for first in range(0, round(days * DAY), batch):
        log.rows(
            [
                (one, BEGIN + minute * MINUTE_MS + 300, own[minute])
                for minute in range(first, min(first + batch, round(days * DAY)), EVERY)
                for one, own in values
            ]
        )
    return log.records


def leaking(since: int, share: float = 0.01, level: float = 500.0 * MB) -> Level:
    return lambda minute: level * (1 + share * max(0, minute - since) / HOUR)


def notices(records: Iterable[Record], config: DetectConfig = HOURLY, state: DetectState | None = None) -> list[Notice]:
    return [one for told in tolds(records, config, state) for one in told.notices]


def test_a_leak_of_one_percent_an_hour_is_told_within_a_day_and_with_how_it_was() -> None:
    (told,) = notices(minutes(10, [(MEMORY, Noisy(leaking(9 * DAY)))]))
    assert (told.kind, told.severity, told.incident) == (NoticeKind.DRIFT, Severity.WARNING, "")
    assert told.title == "cart: memory_metric rises slowly"
    assert "a day before" in told.text
    assert "a week before" in told.text
    assert BEGIN + 9 * DAY * MINUTE_MS < told.at < BEGIN + 10 * DAY * MINUTE_MS


def test_that_it_is_over_is_told_too_and_once() -> None:
    level = leaking(9 * DAY)
    first, second = notices(minutes(12, [(MEMORY, Noisy(lambda minute: level(minute) if minute < 10 * DAY else level(0)))]))
    assert second.title.startswith("cart: memory_metric is as before")
    assert (second.severity, second.at > first.at) == (Severity.INFO, True)
    assert first.id != second.id


@pytest.mark.parametrize(
    "level",
    [
        lambda minute: 500 * MB,
        lambda minute: 500 * MB * (1 + 0.3 * np.sin(2 * np.pi * minute / DAY)),
        lambda minute: 500 * MB * (1.5 if minute // DAY % 7 < 5 else 0.7),
        leaking(9 * DAY, share=-0.01),
    ],
    ids=["steady", "by the day", "week-ends", "falling, which memory may"],
)
def test_what_is_ordinary_is_not_told(level: Level) -> None:
    assert notices(minutes(10, [(MEMORY, Noisy(level))])) == []


def test_what_is_bad_when_it_falls_is_told_when_it_falls() -> None:
    (told,) = notices(minutes(10, [(CACHE, Noisy(leaking(9 * DAY, -0.01, level=0.9)))]))
    assert (CACHE.direction, told.title) == (Direction.DOWN, "cart: cache_metric falls slowly")


def test_within_the_first_week_nothing_is_told() -> None:
    assert notices(minutes(7, [(MEMORY, Noisy(leaking(3 * DAY)))])) == []


def test_context_and_what_is_up_or_not_have_no_leaks() -> None:
    state = restore(None, HOURLY)
    notices(minutes(0.1, [(MEMORY, Noisy(lambda _: 1.0)), (UP, Noisy(lambda _: 1.0)), (CPU, Noisy(lambda _: 1.0))]), state=state)
    assert [course.metric for course in state.leaks.courses.values()] == [MEMORY.metric]


def test_the_instances_of_a_service_are_one_course_their_mean() -> None:
    two = [series("cart", Kind.MEMORY, unit="bytes", instance=f"i:{number}") for number in range(2)]
    state = restore(None, HOURLY)
    notices(minutes(0.1, [(two[0], Noisy(lambda _: 100.0)), (two[1], Noisy(lambda _: 300.0))]), state=state)
    (course,) = state.leaks.courses.values()
    leak = course.leak.open()
    assert 195 < (leak.mean if leak.hour is not None else course.total / course.count) < 205


@pytest.mark.parametrize("batch", [35, 90])
def test_a_restart_and_other_batches_change_nothing(batch: int) -> None:
    levels = [(MEMORY, Noisy(leaking(9 * DAY))), (series("shop", Kind.POOL), Noisy(lambda _: 0.4, 2))]
    straight = restore(None, HOURLY)
    wanted = notices(minutes(9.6, levels), state=straight)
    assert wanted
    state, found = restore(None, HOURLY), []
    for number, record in enumerate(minutes(9.6, levels, batch)):
        found += notices([record], state=state)
        if number % 23 == 0:
            state = restore(snapshot(state), HOURLY)
    assert [(one.id, one.text, one.at) for one in found] == [(one.id, one.text, one.at) for one in wanted]
    assert msgspec.msgpack.encode(state.leaks, enc_hook=plain) == msgspec.msgpack.encode(straight.leaks, enc_hook=plain)


def test_of_history_leaks_are_learned_and_nobody_is_told() -> None:
    past = minutes(10, [(MEMORY, Noisy(leaking(9 * DAY)))])
    marked = [
        Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, (*one.headers, (BACKFILL_HEADER, b"1")))
        for one in past
    ]
    state = restore(None, HOURLY)
    assert notices(marked, state=state) == []
    (course,) = state.leaks.courses.values()
    assert course.leak.open().since is not None


def test_metrics_above_the_cap_are_counted_and_what_is_gone_makes_room() -> None:
    config = HOURLY.model_copy(update={"max_leaks": 2})
    three = [(series("cart", Kind.MEMORY, metric=f"m{number}"), Noisy(lambda _: 1.0)) for number in range(3)]
    one, counted = stage(config), "airra_detect_evicted_leaks_total"
    state, before = one.restore(None), REGISTRY.get_sample_value(counted) or 0.0
    for record in minutes(0.1, three):
        one.apply(state, record, record.timestamp)
    assert [course.metric for course in state.leaks.courses.values()] == ["m0", "m1"]
    assert (REGISTRY.get_sample_value(counted) or 0.0) - before > 0


@pytest.mark.parametrize("name", ["m" * 150, "\u00e9" * 200, "a\x1fb"])
def test_a_name_may_be_long_or_odd(name: str) -> None:
    state = restore(None, HOURLY)
    notices(minutes(0.1, [(series("cart", Kind.MEMORY, metric=name), Noisy(lambda _: 1.0))]), state=state)
    assert [course.metric for course in state.leaks.courses.values()] == [name]


@pytest.mark.parametrize("direction", [Direction.BOTH, Direction.NONE])
@pytest.mark.parametrize("share", [0.01, -0.01])
def test_what_has_no_bad_direction_is_told_both_ways(direction: Direction, share: float) -> None:
    memory = series("cart", Kind.MEMORY, unit="bytes", direction=direction)
    assert len(notices(minutes(10, [(memory, Noisy(leaking(9 * DAY, share)))]))) == 1


def test_a_clock_that_was_ahead_does_not_end_the_watch() -> None:
    """Given a source that was alone and a day ahead, when another comes, then readings go on at its time."""
    own, other = MEMORY, series("shop", Kind.MEMORY, unit="bytes")
    log = Log().define(own, other)
    for second in range(5):
        log.rows([(own, T0 + DAY * MINUTE_MS + 1000 * second + 300, 1.0)], 0, now=0)
    for second in range(300):
        log.rows([(other, T0 + 1000 * second + 300, 1.0)], 1, now=T0 + 1000 * second + 300)
        if second % 5 == 0:
            log.tick(T0 + 1000 * second + 600)
    state = restore(None, CONFIG)
    notices(log.records, CONFIG, state)
    assert state.leaks.minute <= (T0 + 300_000) // MINUTE_MS
    assert {course.service: course.count for course in state.leaks.courses.values()}["shop"] >= 3


def test_the_stage_writes_it_as_a_notice() -> None:
    one = stage(HOURLY)
    state = one.restore(None)
    found = [
        output
        for record in minutes(10, [(MEMORY, Noisy(leaking(9 * DAY)))])
        for output in one.apply(state, record, record.timestamp)
        if output.topic == NOTICES.name
    ]
    (only,) = found
    assert Notice.model_validate_json(only.value).kind is NoticeKind.DRIFT
