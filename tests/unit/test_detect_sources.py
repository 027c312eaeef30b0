"""Source partitions that lag, run ahead, or have nothing here: what they hold back, and what they do not."""

from __future__ import annotations

import pytest

from models.detection.sources import Sources
from models.detection.state import restore, snapshot
from schemas.config.detect import SourceRule
from schemas.kinds import Kind
from schemas.signals import AnomalyReason, Phase
from streams.detect_metrics import EVICTED_SOURCES, RESTARTED_SOURCES
from tests.unit.detect_feed import CONFIG, T0, Log, anomalies, come, fold, phases, series

A = series("a", Kind.POOL, unit="connections")
B = series("b", Kind.POOL, unit="connections")
YEAR_MS = 365 * 86_400_000
QUIET = CONFIG.model_copy(update={"health_s": 300.0, "health_watched_s": 300.0, "allowed_lateness_s": 2 * YEAR_MS / 1000})


def beside(skew_ms: int, since: int = 40, seconds: int = 160) -> Log:
    """A fault of A after 100 s, beside a source of B's whose clock, and the records it comes in, are off by so much."""
    log = Log().define(A, B)
    for i in range(seconds):
        now = T0 + 1000 * i
        log.rows([(A, now, 1.0 if i < 100 else 100.0)], 0, now)
        if i >= since:
            log.rows([(B, now + skew_ms, 1.0)], 1, now + max(0, skew_ms))
        if i % 5 == 0:
            log.tick(now)
    return log


@pytest.mark.parametrize("skew_ms", [0, -60_000, -3_600_000, -YEAR_MS, 60_000, YEAR_MS])
@pytest.mark.parametrize("since", [0, 41])
def test_a_source_with_a_wrong_clock_or_a_backlog_does_not_delay_the_alarms_of_others(skew_ms: int, since: int) -> None:
    opened = [one for one in phases(beside(skew_ms, since, 106), Phase.OPENED, QUIET) if one.evidence.service == "a"]
    assert [(one.at - T0) // 1000 for one in opened] == [103]
    state = fold(beside(skew_ms, since), QUIET)
    assert state.waiting.rows["window"].max() <= (T0 + 160_000) // 1000
    assert len(state.waiting) < 10
    assert (state.sources.lagging, state.sources.ahead) == (int(skew_ms < 0), int(skew_ms > 0))
    heard = state.registry.units.times[:2]
    assert heard[0] == 158, "every closed second of A was folded"
    assert heard[1] >= 110, "and those of B"
    assert snapshot(restore(snapshot(state), QUIET)) == snapshot(state)


def test_what_comes_later_than_is_allowed_is_not_used_and_holds_nobody_back() -> None:
    config = QUIET.model_copy(update={"allowed_lateness_s": 1800.0})
    state = fold(beside(-3_600_000), config)
    assert state.registry.units.times[:2].tolist() == [158, 0]
    assert [one.at - T0 for one in phases(beside(-3_600_000), Phase.OPENED, config)] == [103_000]


def test_each_source_has_a_watermark_of_its_own_less_the_buffer_of_its_topic() -> None:
    sources = Sources(CONFIG.model_copy(update={"sources": {"slow": SourceRule(out_of_order_s=15)}}))
    fast, slow = sources.number("fast", 0), sources.number("slow", 0)
    assert come(sources, fast, [T0]) == [T0 - 1000]
    assert come(sources, slow, [T0, T0 + 10_000, T0 + 20_000]) == [
        T0 - 15_000,
        T0 - 5000,
        T0 - 1000,
    ]
    assert sources.pass_time(T0 + 5000) == T0 - 1000


@pytest.mark.parametrize(("rule", "times"), [({}, 31), ({"out_of_order_s": 8.0}, 60)])
def test_a_topic_that_shuffles_more_has_a_larger_buffer(rule: dict[str, float], times: int) -> None:
    """Given a topic whose every other row is 4 s late, when its buffer is larger, then each is in a window of its own."""
    config = QUIET.model_copy(update={"sources": {"metrics": SourceRule(**rule)}})
    log = Log().define(A)
    for i in range(60):
        log.rows([(A, T0 + 1000 * (i - (4 if i % 2 else 0)), 1.0)])
    state = fold(log.rows([(A, T0 + 600_000, 1.0)]), config)
    assert state.registry.units.times[0] == times


def test_a_source_that_lags_a_little_is_waited_for() -> None:
    log = beside(-20_000)
    assert fold(log, QUIET).sources.lagging == 0
    assert [one.at - T0 for one in phases(log, Phase.OPENED, QUIET)] == [103_000]


@pytest.mark.parametrize("skew_ms", [60_000, 3_600_000, YEAR_MS])
@pytest.mark.parametrize("beats", [False, True])
def test_a_source_from_the_future_that_was_there_first_closes_nobody_elses_window(skew_ms: int, beats: bool) -> None:
    """Given a source ahead that is all there is for 20 s, when another comes, then its windows are open and its fault is told in time."""
    log = Log().define(A, B)
    for i in range(160):
        now = T0 + 1000 * i
        log.rows([(B, now + skew_ms, 1.0)], 1, now + skew_ms)
        if i >= 20:
            log.rows([(A, now, 1.0 if i < 100 else 100.0)], 0, now)
        if beats:
            log.heartbeat(now, 2, now)
        if i % 5 == 0:
            log.tick(now)
    opened = [one for one in phases(log, Phase.OPENED, QUIET) if one.evidence.service == "a"]
    assert [(one.opened_at - T0, one.at - T0) for one in opened] == [(100_000, 103_000)]
    state = fold(log, QUIET)
    assert state.registry.units.times[0] == 138, "every closed second of A was folded in its own window"
    assert state.registry.units.times[1] >= 130, "and those of B"
    assert snapshot(restore(snapshot(state), QUIET)) == snapshot(state)


@pytest.mark.parametrize("lag_ms", [0, 3000, 60_000])
def test_a_producer_from_the_future_does_not_make_late_what_comes_from_the_same_source(lag_ms: int) -> None:
    """Given a backlog, when one clock of its source is ahead, then its rows count when they were written, and the others' in their time."""

    def log(*, ahead: bool) -> Log:
        found = Log().define(A, B).rows([(A, T0 - 1000, 1.0)], 0, T0 - 1000)
        for i in range(160):
            at = T0 + 1000 * i
            found.rows([*([(B, at + 3_600_000, 1.0)] if ahead else []), (A, at, 1.0 if i < 100 else 100.0)], 0, at + lag_ms)
            if i % 5 == 0:
                found.tick(at + lag_ms)
        return found

    plain, beside_it = ([one for one in anomalies(log(ahead=ahead), QUIET) if one.evidence.service == "a"] for ahead in (False, True))
    assert [one.model_copy(update={"source": plain[0].source}) for one in beside_it] == [
        one.model_copy(update={"source": plain[0].source}) for one in plain
    ]
    assert fold(log(ahead=True), QUIET).registry.units.times[0] == 159


def test_where_all_sources_are_beyond_the_tick_it_is_the_tick_that_is_doubted() -> None:
    log = Log().define(A, B)
    for i in range(60):
        log.rows([(A, T0 + 1000 * i, 1.0)], 0).rows([(B, T0 + 1000 * i, 1.0)], 1)
        if i % 5 == 0:
            log.tick(T0 - 3_600_000 + 1000 * i)
    state = fold(log, QUIET)
    assert (state.sources.ahead, state.sources.lagging) == (0, 0)
    assert state.closed == (T0 + 58_000) // 1000


def test_a_source_whose_clock_was_put_right_is_believed_again() -> None:
    log = beside(YEAR_MS)
    for i in range(160, 180):
        now = T0 + 1000 * i
        log.rows([(A, now, 100.0)], 0, now).rows([(B, now, 1.0)], 1, now)
        if i % 5 == 0:
            log.tick(now)
    assert fold(log, QUIET).sources.ahead == 0


def alone(*, beats: bool, ticks: bool = True) -> Log:
    """A is alone in its partition and stops after 60 s; other partitions' services go on in the same source, or all stops."""
    log = Log().define(A)
    for i in range(200):
        now = T0 + 1000 * i
        if i < 60:
            log.rows([(A, now, 1.0)], 0, now)
        elif beats and i % 2 == 0:
            log.heartbeat(now, 0)
        if ticks and i % 5 == 0:
            log.tick(now)
    return log


def test_a_service_alone_in_its_partition_is_missed_while_its_source_goes_on() -> None:
    found = [one for one in anomalies(alone(beats=True), QUIET) if one.phase is not Phase.CONTINUED]
    assert [(one.phase, one.reason) for one in found] == [(Phase.OPENED, AnomalyReason.SILENCE)]
    assert (found[0].at - T0) // 1000 <= 70
    assert found[0].source.topic == "metrics"


def test_when_everything_stops_the_service_alone_in_its_partition_is_not_accused() -> None:
    assert anomalies(alone(beats=False), QUIET) == []


def test_a_heartbeat_repeated_changes_nothing() -> None:
    log = alone(beats=True)
    before = snapshot(fold(log, QUIET))
    log._offsets[0] -= 1
    log.heartbeat(T0 + 500_000, 0)
    assert snapshot(fold(log, QUIET)) == before


def test_a_source_that_has_only_heartbeats_holds_nobody_back() -> None:
    log = Log().define(A)
    for i in range(105):
        log.rows([(A, T0 + 1000 * i, 1.0 if i < 100 else 100.0)], 0)
        if i % 15 == 0:
            log.heartbeat(T0 + 1000 * i, 1)
    assert [(one.at - T0) // 1000 for one in phases(log, Phase.OPENED, QUIET)] == [103]


def test_sources_are_bounded_idle_ones_make_room_and_are_counted() -> None:
    config = QUIET.model_copy(update={"max_sources": 4})
    before = EVICTED_SOURCES._value.get()
    log = Log().define(A)
    for partition in range(4):
        log.rows([(A, T0 + 1000 * partition, 1.0)], partition)
    for i in range(4, 40, 5):
        log.rows([(A, T0 + 1000 * i, 1.0)], 2).tick(T0 + 1000 * i)
    log.rows([(A, T0 + 41_000, 1.0)], 7).heartbeat(T0 + 41_000, 8)
    state = fold(log, config)
    assert [partition for _, partition in state.sources.numbers] == [7, 1, 2, 3]
    assert EVICTED_SOURCES._value.get() == before + 1
    assert snapshot(restore(snapshot(state), config)) == snapshot(state)


def test_the_names_of_sources_follow_their_numbers() -> None:
    sources = Sources(CONFIG)
    for partition in range(3):
        sources.number("metrics", partition)
    sources.replace("other", 9)
    assert sources.names()[0] == ("other", 9)
    assert sources.number("metrics", 2) == 2


def remade(cut: int) -> Log:
    """A raw topic is deleted after 60 s and made again: it counts from 0, and a fault falls into what it holds; batches of `cut` rows."""
    log = Log().define(A)
    rows = [(A, T0 + 1000 * i, 1.0 if i < 100 else 100.0, i if i < 60 else i - 60) for i in range(150)]
    for part in (rows[:60], rows[60:]):
        for start in range(0, len(part), cut):
            log.batch(part[start : start + cut])
    return log


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_raw_topic_that_was_deleted_and_made_again_is_read_from_its_beginning(cut: int) -> None:
    """Given a mark of 59, when offsets 0 to 89 come with newer times, then none is a repeat, and the fault in them is told."""
    restarted = RESTARTED_SOURCES._value.get()
    log = remade(cut)
    (opened,) = phases(log, Phase.OPENED, QUIET)
    assert opened.at - T0 == 103_000
    assert RESTARTED_SOURCES._value.get() == restarted + 1
    (source,) = fold(log, QUIET).sources.all
    assert (source.mark, source.latest) == (89, T0 + 149_000)


def test_what_a_crash_repeats_after_a_topic_was_made_again_is_still_a_repeat() -> None:
    log = remade(1)
    whole = anomalies(log, QUIET)
    log.batch([(A, T0 + 1000 * i, 100.0, i - 60) for i in range(120, 150)])
    assert anomalies(log, QUIET) == whole
    assert fold(log, QUIET).sources.all[0].mark == 89
