"""The one fate of each row, and what bounds the state."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from models.detection.fold import Detector
from models.detection.judge import slots_for
from models.detection.series.points import Points, point
from models.detection.series.quantile import quantile
from models.detection.sources import Sources
from models.detection.state import restore, snapshot, unpack
from schemas.base import Position
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import STALE_BITS
from schemas.signals import Health, Phase
from tests.unit.detect_feed import CONFIG, T0, Log, anomalies, come, each_second, histogram, phases, read, series, signals, tolds

HERE = Position(topic="airra.samples.v1", partition=0, offset=0)
A = series("cart", Kind.POOL, unit="ratio")
B = series("shop", Kind.POOL, unit="ratio")


def fates(log: Log, config: DetectConfig = CONFIG) -> tuple[Counter[str], Detector]:
    """Fold and count what became of the rows."""
    state = restore(None, config)
    found: Counter[str] = Counter()
    for told in tolds(log.records, config, state):
        found += told.fates
    return found, Detector(state, config)


def test_each_row_has_one_fate_and_the_counts_add_up() -> None:
    log = Log().define(A)
    for i in range(10):
        log.rows([(A, T0 + 1000 * i, 0.1)])
    log.batch([(A, T0 + 9000, 0.1, 9)])  # at the mark: a repeat
    log.rows([(B, T0 + 10_000, 0.1)])  # never defined
    log.rows([(A, T0 + 2000, 0.5)])  # its window is closed and its series is further
    log.rows([(A, T0 + 9000, 0.3)])  # a second value of one time: the later stands
    log.rows([(A, T0 + 20_000, 0.1)])
    found, detector = fates(log)
    assert found == {"on_time": 10, "duplicate": 1, "unknown_series": 1, "stale": 1, "same_time": 1}
    assert len(detector.state.waiting) == 1  # 15 rows in all


def test_a_row_after_a_newer_one_of_its_source_is_reordered_while_its_window_is_open() -> None:
    log = Log().define(A, B)
    log.rows([(A, T0 + 900, 0.1), (B, T0 + 400, 0.1)])
    log.rows([(B, T0 + 1400, 0.1), (A, T0 + 1300, 0.1), (A, T0 + 1400, 0.1)])
    log.rows([(A, T0 + 90_000, 0.1)])
    assert fates(log)[0] == {"on_time": 3, "reordered": 2}


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_no_finite_number_is_not_taken_and_is_not_the_word_that_a_series_ends(value: float) -> None:
    log = Log().define(A, B)
    log.rows([(A, T0, 0.1), (B, T0, 0.1)]).rows([(A, T0 + 1000, value), (B, T0 + 1000, 0.1)]).rows([(B, T0 + 90_000, 0.1)])
    assert fates(log)[0] == {"on_time": 3, "not_finite": 1}


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_point_that_is_no_number_is_none(value: float) -> None:
    points = Points(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2), np.zeros(1, np.int64))
    point(points, 1, 2, value)
    point(points, 3, 4, 0.5)
    assert (points.slot.tolist(), points.value.tolist(), points.filled.tolist()) == ([3, 0], [0.5, 0.0], [1])


def test_the_word_that_a_series_ends_has_one_fate_too_even_where_it_comes_late() -> None:
    ends = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
    log = Log().define(A, B)
    log.rows([(A, T0, 0.1), (B, T0, 0.1)]).rows([(A, T0 + 1000, ends)]).rows([(B, T0 + 9000, 0.1)])
    log.rows([(A, T0, ends)]).rows([(B, T0 + 90_000, 0.1)])
    found, detector = fates(log)
    assert found == {"on_time": 3, "ended": 1, "stale": 1}
    assert len(detector.state.waiting) == 1


def test_rows_that_wait_in_a_snapshot_of_another_shape_are_counted_by_who_reads_it() -> None:
    _, detector = fates(Log().define(A).rows([(A, T0, 0.1), (A, T0 + 1000, 0.1)]))
    other = CONFIG.model_copy(update={"history_points": 40})
    state = restore(snapshot(restore(snapshot(detector.state), other)), other)
    first, second = tolds(Log().tick(T0).tick(T0 + 5000).records, other, state)
    assert (+first.fates, +second.fates) == ({"given_up": 2}, {})


def test_rows_saved_by_a_release_that_did_not_say_how_they_came_count_as_on_time() -> None:
    _, detector = fates(Log().define(A).rows([(A, T0 + 500, 0.1), (A, T0, 0.1)]))
    image = msgspec.msgpack.decode(unpack(snapshot(detector.state)), strict=False)
    del image["pending"]["arrival"]
    state = restore(msgspec.msgpack.encode(image), CONFIG)
    (told,) = tolds(Log().batch([(A, T0 + 9000, 0.1, 2)]).records, CONFIG, state)
    assert +told.fates == {"on_time": 2}


def test_a_late_row_that_is_news_of_its_series_goes_into_the_oldest_open_window() -> None:
    log = Log().define(A, B)
    for i in range(20):
        log.rows([(A, T0 + 1000 * i, 0.1)])
        log.rows([(B, T0 + 1000 * i - 4000, 0.2)])  # a clock that is four seconds behind
    found, _ = fates(log)
    assert found["stale"] == 0
    assert found["late"] >= 15
    last = [one for one in signals(log.rows([(A, T0 + 40_000, 0.1)])) if isinstance(one, Health) and one.service == "shop"][-1]
    assert last.series[0].value == 0.2


def test_a_row_from_the_future_counts_at_its_records_time_and_does_not_move_the_watermark_far() -> None:
    log = Log().define(A, B)
    for i in range(70):
        log.rows([(A, T0 + 1000 * i, 0.1), (B, T0 + 1000 * i + (240_000 if i == 50 else 0), 0.1)], now=T0 + 1000 * i + 200)
    found, detector = fates(log)
    assert found["future"] == 1
    assert found["stale"] == 0
    assert detector.state.closed == (T0 + 68_000) // 1000
    assert anomalies(log) == []


def test_the_slowest_source_holds_the_watermark_until_ticks_say_it_is_idle() -> None:
    sources = Sources(CONFIG)
    first, second = sources.number("metrics", 0), sources.number("metrics", 1)
    assert come(sources, first, [T0, T0 + 5000]) == [T0 - 1000, T0 + 4000]
    assert come(sources, second, [T0 + 1000]) == [T0]
    assert come(sources, first, [T0 + 6000]) == [T0]
    assert sources.pass_time(T0 + 5000) == T0
    come(sources, first, [T0 + 20_000])
    assert sources.pass_time(T0 + 15_000) == T0 + 19_000
    assert sources.idle == 1
    assert sources.pass_time(T0 + 60_000) == T0 + 21_000, "all are idle: what came is closed, no further"
    assert sources.pass_time(T0 + 900_000) == T0 + 21_000


def test_a_source_that_is_away_does_not_stop_the_others_alarms() -> None:
    log = Log().define(A, B)
    for i in range(100):
        log.rows([(A, T0 + 1000 * i, 0.9 if i >= 70 else 0.1)])
        if i < 40:
            log.rows([(B, T0 + 1000 * i, 0.1)], partition=1)
        if i % 5 == 0:
            log.tick(T0 + 1000 * i)
    opened = phases(log, Phase.OPENED)
    assert [(one.evidence.service, one.reason.value) for one in opened] == [("shop", "silence"), ("cart", "shift")]


def test_too_many_waiting_rows_close_the_oldest_windows() -> None:
    config = CONFIG.model_copy(update={"max_pending": 50})
    log = Log().define(A, B).rows([(B, T0, 0.1)], partition=1)
    log.rows([(A, T0 + 1000 * i, 0.1) for i in range(200)])  # the other source holds the watermark back
    found, detector = fates(log, config)
    assert len(detector.state.waiting) <= 50
    assert found["on_time"] >= 150
    assert found["stale"] == 0


def test_a_changed_definition_replaces_the_old_one_and_a_repeated_one_changes_nothing() -> None:
    detector = Detector(restore(None, CONFIG), CONFIG)
    detector.define([A, B, *histogram("cart", (0.1, 1.0, None))], HERE)
    before = snapshot(detector.state)
    detector.define([A, *histogram("cart", (0.1, 1.0, None))], HERE)
    assert snapshot(detector.state) == before
    detector.define([series("cart", Kind.SATURATION, metric=A.metric)], HERE)
    assert {meta.kind for meta in detector.state.registry.metas.values() if meta.metric == A.metric and meta.service == "cart"} == {
        Kind.SATURATION
    }


def test_buckets_may_be_defined_in_any_order_and_beyond_the_cap_they_are_counted() -> None:
    buckets = histogram("cart", (0.1, 0.2, 0.4, None))
    shuffled = [buckets[i] for i in (2, 0, 3, 1)]
    growth = dict(zip([one.id for one in buckets], (10.0, 40.0, 90.0, 100.0), strict=True))
    logs = [each_second(12, lambda i: [(b, growth[b.id] * i) for b in buckets], *order) for order in (buckets, shuffled)]
    first, second = ([one.series for one in signals(log) if isinstance(one, Health)] for log in logs)
    assert first == second
    many = Log().define(*histogram("cart", (1.0, 8.0, *[float(i) for i in range(2, 8)], None)))  # nothing is beyond the first two
    (told,) = tolds(many.records, CONFIG.model_copy(update={"max_buckets": 4}))
    assert told.definitions == {"taken": 4, "bucket_above_cap": 5}


def test_of_more_buckets_than_a_histogram_may_have_the_highest_are_kept() -> None:
    """Without them a quantile would end at the highest that is known, whatever it is; and told again, none takes the place of another."""
    buckets = histogram("cart", (*[round(0.01 * n, 2) for n in range(1, 101)], None))
    log = Log().define(*buckets)
    for i in range(12):
        log.rows([(one, T0 + 1000 * i, 100.0 * i if one.le is None or one.le >= 0.9 else 0.0) for one in buckets])
    state = restore(None, CONFIG)
    first, *_ = tolds(log.records, CONFIG, state)
    assert (first.definitions, first.evicted) == ({"taken": 101}, 101 - CONFIG.max_buckets)
    kept = state.registry.hists.bounds[0]
    assert (kept[0], kept[-2], kept[-1]) == (0.01, 1.0, np.inf)
    assert (np.diff(kept[:-1]) < np.maximum(0.011, 0.06 * kept[1:-1])).all(), "as near to each other as their size asks for"
    health = [one for one in signals(log) if isinstance(one, Health) and one.kind is Kind.LATENCY][-1]
    assert [one.value for one in health.series if one.metric.endswith("p95")] == [pytest.approx(0.9, rel=0.05)]
    before = snapshot(state)
    (again,) = tolds(Log().define(*buckets).records, CONFIG, restore(before, CONFIG))
    assert (again.definitions, again.evicted) == ({"taken": CONFIG.max_buckets, "bucket_above_cap": 101 - CONFIG.max_buckets}, 0)


def test_another_ring_size_keeps_what_series_mean_and_starts_their_past_anew() -> None:
    log = each_second(50, lambda _: [(A, 0.1)], A)
    _, detector = fates(log)
    other = CONFIG.model_copy(update={"history_points": 40})
    state = restore(snapshot(detector.state), other)
    assert state.registry.index == {A.id: 0}
    assert state.sources.all[0].mark == 49
    assert state.registry.slots.seen[0] == 0
    assert slots_for(other).ring.shape[1] == 40


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, [0, 10, 10, 10], 0.15),  # all in (0.1, 0.2]
        (0.5, [10, 10, 10, 10], 0.05),  # all in the first, which begins at 0
        (0.95, [0, 0, 0, 10], 0.4),  # beyond every finite bound
        (0.95, [10, 10, 18, 20], 0.4),  # rank 19 is in the last bucket
        (0.9, [10, 10, 20, 20], 0.36),
        (0.5, [10, 9, 20, 20], 0.1),  # counts that seem to fall are read as flat
    ],
)
def test_a_quantile_equals_the_one_computed_by_hand(q: float, counts: list[float], expected: float) -> None:
    bounds = np.array([0.1, 0.2, 0.4, np.inf, np.inf])
    assert quantile(q, bounds, np.array([*counts, 0.0]), 4) == pytest.approx(expected)


def test_a_configuration_without_a_kind_or_with_a_misspelt_one_is_refused() -> None:
    good = CONFIG.model_dump(mode="json")
    for wrong in ({**good, "kinds": {"latency": {}}}, {**good, "sigmas": 3}, {**good, "min_history": 100}, {**good, "health_s": 2.5}):
        with pytest.raises(ValueError, match=r"kinds lacks|Extra|min_history|multiples"):
            DetectConfig.model_validate(wrong)
    with pytest.raises(ValueError, match="health_s is a multiple of health_watched_s"):
        DetectConfig.model_validate({**good, "health_s": 10, "health_watched_s": 4})
    with pytest.raises(ValueError, match="a lasting fault never becomes ordinary"):
        DetectConfig.model_validate({**good, "kinds": {**good["kinds"], "pool": {"opens": True, "release_s": 60}}})
    with pytest.raises(ValueError, match="lateness_s is out_of_order_s now"):
        DetectConfig.model_validate({**good, "lateness_s": 1.0})
    with pytest.raises(ValueError, match=r"sources\.slow\.out_of_order_s\n.*greater than or equal to 0"):
        DetectConfig.model_validate({**good, "sources": {"slow": {"out_of_order_s": -1}}})
    assert CONFIG.kinds[Kind.REQUESTS].opens is False
    assert read([]) == []
    assert Direction.UP in Direction


def test_a_snapshot_is_packed_and_one_that_is_not_is_read_too() -> None:
    _, detector = fates(each_second(50, lambda _: [(A, 0.1)], A))
    saved = snapshot(detector.state)
    assert len(saved) < len(unpack(saved)) / 2
    assert snapshot(restore(unpack(saved), CONFIG)) == snapshot(restore(saved, CONFIG)) == saved


@pytest.mark.parametrize("wider", [True, False])
def test_a_snapshot_with_columns_of_another_width_is_read(wider: bool) -> None:
    _, detector = fates(each_second(50, lambda _: [(A, 0.1)], A))
    saved = snapshot(detector.state)
    image = msgspec.msgpack.decode(unpack(saved), strict=False)
    changed = 0
    for table in image["tables"].values():
        for name, (dtype, shape, data) in ((name, told) for name, told in table.items() if name not in {"used", "free"}):
            values = np.frombuffer(data, dtype)
            if values.size and values.dtype.kind == "i":
                narrow = np.result_type(*map(np.min_scalar_type, (values.min(), values.max())))
                other = values.astype(np.int64 if wider else narrow)
                changed += other.dtype != values.dtype
                table[name] = other.dtype.str, shape, other.tobytes()
    assert changed > 20
    image["format"] = 2 if wider else 3
    assert snapshot(restore(msgspec.msgpack.encode(image), CONFIG)) == saved


def test_a_snapshot_gives_back_the_room_that_a_backlog_needed() -> None:
    many, patient = [series(f"s{number}", Kind.POOL) for number in range(100)], CONFIG.model_copy(update={"out_of_order_s": 200.0})
    _, detector = fates(Log().define(A, *many).rows([(one, T0 + 1000 * i, 0.1) for i in range(100) for one in many]), patient)
    state = detector.state
    snapshot(state)
    assert len(state.waiting) == 100 * 100 <= len(state.waiting.room), "all of it holds rows"
    list(tolds(Log().batch([(A, T0 + 500_000, 0.1, 10_001)]).records, patient, state))
    assert len(state.waiting) == 1 < len(state.waiting.room)
    saved = snapshot(state)
    assert len(state.waiting.room) == 1
    assert snapshot(restore(saved, patient)) == snapshot(state) == saved


def test_after_a_snapshot_nothing_waits_to_be_sorted() -> None:
    many = [series(f"s{number}", Kind.POOL) for number in range(100)]
    _, detector = fates(Log().define(*many))
    registry = detector.state.registry
    indexes = [registry.index, registry.places, *registry.census.values.values()]
    assert all(index._new for index in indexes[1:])
    before = [dict(index) for index in indexes]
    snapshot(detector.state)
    assert not any(index._new for index in indexes)
    assert [dict(index) for index in indexes] == before


def test_a_snapshot_that_is_cut_short_is_told() -> None:
    _, detector = fates(each_second(50, lambda _: [(A, 0.1)], A))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        restore(snapshot(detector.state)[:-9], CONFIG)
