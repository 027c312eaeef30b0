"""What lasts stays open: faults, silences; what ends them; and what must make room says so."""

from __future__ import annotations

import pytest

from models.detection.state import restore, unpack
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef
from schemas.signals import AnomalyReason, Phase
from streams.detect import stage
from tests.unit.detect_feed import CONFIG, T0, anomalies, counter, each_second, fold, histogram, phases, series

MB = 1_048_576.0
POOL = series("cart", Kind.POOL, unit="ratio")
UP = series("cart", Kind.UP, direction=Direction.DOWN)
CACHE = series("cart", Kind.CACHE, unit="ratio", direction=Direction.DOWN)
OTHER = series("shop", Kind.MEMORY, unit="bytes")
QUIET = CONFIG.model_copy(update={"health_s": 300.0, "health_watched_s": 300.0, "continued_s": 600.0})
SOON = QUIET.model_copy(update={"forget_s": 60.0, "continued_s": 10.0})


def seconds(at: int) -> float:
    return (at - T0) / 1000


def test_a_fault_that_lasts_for_hours_is_never_learned() -> None:
    buckets = histogram("cart", (0.025, 0.1, 1.0, None))
    requests, errors = counter("cart", Kind.REQUESTS, direction=Direction.NONE), counter("cart", Kind.ERRORS)

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        bad = max(0, i - 60)
        slow = [(one, 20.0 * (i if one.le in (1.0, None) else i - bad)) for one in buckets]
        levels = [(UP, 0.0 if bad else 1.0), (POOL, 0.9 if bad else 0.1), (CACHE, 0.1 if bad else 0.9)]
        return [*levels, (requests, 40.0 * i), (errors, 20.0 * bad), *slow]

    log = each_second(4000, second, UP, POOL, CACHE, requests, errors, *buckets)
    assert {one.evidence.kind for one in phases(log, Phase.OPENED, QUIET)} == {Kind.UP, Kind.POOL, Kind.CACHE, Kind.ERRORS, Kind.LATENCY}
    assert phases(log, Phase.CLOSED, QUIET) == []


def test_what_is_not_judged_keeps_its_baseline_while_harm_is_open_on_its_instance() -> None:
    buckets = histogram("cart", (0.025, 0.1, 1.0, None))
    requests, errors = counter("cart", Kind.REQUESTS, direction=Direction.NONE), counter("cart", Kind.ERRORS)
    hits = counter("cart", Kind.CACHE, direction=Direction.DOWN)

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        bad = max(0, i - 100)
        slow = [(one, 20.0 * (i if one.le in (1.0, None) else i - bad)) for one in buckets]
        return [*slow, (requests, 40.0 * i), (errors, 20.0 * bad), (hits, 30.0 * (i - bad))]

    defs = (*buckets, requests, errors, hits)
    before, after = (fold(each_second(n, second, *defs), QUIET).registry for n in (100, 1000))
    for metric in ("http_request_duration_seconds:p50", "errors_metric:rate", "cache_metric:rate"):
        (slot,) = (slot for slot, meta in after.metas.items() if meta.metric == metric)
        assert not after.slots.judged[slot]
        assert after.slots.base[slot] == pytest.approx(before.slots.base[slot], abs=0.01), metric


def test_a_dead_service_stays_silent_however_long_it_is_dead() -> None:
    log = each_second(400, lambda i: [(OTHER, 5 * MB), *([(POOL, 0.1)] if i < 60 else [])], OTHER, POOL)
    found = [one.phase for one in anomalies(log, SOON) if one.phase is not Phase.CONTINUED]
    assert found == [Phase.OPENED]
    assert seconds(phases(log, Phase.CONTINUED, SOON)[-1].at) >= 389


def test_a_fault_whose_series_then_falls_silent_stays_open() -> None:
    log = each_second(400, lambda i: [(OTHER, 5 * MB), *([(POOL, 0.9 if i >= 60 else 0.1)] if i < 100 else [])], OTHER, POOL)
    found = [(one.phase, one.reason) for one in anomalies(log, SOON) if one.phase is not Phase.CONTINUED]
    assert found == [(Phase.OPENED, AnomalyReason.SHIFT)]
    assert seconds(phases(log, Phase.CONTINUED, SOON)[-1].at) >= 389


def test_an_error_ratio_that_is_open_when_its_instance_dies_stays_open() -> None:
    requests, errors = counter("cart", Kind.REQUESTS, direction=Direction.NONE), counter("cart", Kind.ERRORS)

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(OTHER, 5 * MB), *([(requests, 40.0 * i), (errors, 20.0 * max(0, i - 60))] if i < 100 else [])]

    log = each_second(400, second, OTHER, requests, errors)
    assert phases(log, Phase.CLOSED, SOON) == []
    late = [one.evidence.metric for one in phases(log, Phase.CONTINUED, SOON) if seconds(one.at) >= 389]
    assert "error_ratio" in late


def test_the_silence_of_a_dead_instance_ends_once_another_takes_its_place() -> None:
    new = series("cart", Kind.POOL, unit="ratio", instance="i:2")

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(OTHER, 5 * MB), *([(POOL, 0.1)] if i < 60 else [(new, 0.1)] if i >= 100 else [])]

    opened, closed = (phases(each_second(130, second, OTHER, POOL, new), phase, QUIET) for phase in (Phase.OPENED, Phase.CLOSED))
    assert [one.evidence.instance for one in opened] == ["i:1"]
    assert [(one.anomaly, one.reason, seconds(one.at)) for one in closed] == [(opened[0].anomaly, AnomalyReason.SILENCE, 101.0)]


def test_an_instance_that_was_scaled_in_is_forgotten_and_its_series_are_not() -> None:
    gone = series("cart", Kind.POOL, unit="ratio", instance="i:2")
    log = each_second(200, lambda i: [(POOL, 0.1), *([(gone, 0.1)] if i < 60 else [])], POOL, gone)
    registry = fold(log, SOON).registry
    assert (registry.slots.count, registry.raws.count, registry.series) == (1, 1, 2)


def test_an_open_anomaly_that_must_make_room_is_closed_as_given_up() -> None:
    config = QUIET.model_copy(update={"max_series": 10})
    many = [series(f"s{n}", Kind.MEMORY, unit="bytes") for n in range(9)]
    log = each_second(100, lambda i: [*((one, 5 * MB) for one in many), *([(POOL, 0.1)] if i < 60 else [])], *many, POOL)
    log.define(series("new", Kind.MEMORY, unit="bytes"))
    opened, closed = phases(log, Phase.OPENED, config), phases(log, Phase.CLOSED, config)
    assert [one.reason for one in opened] == [AnomalyReason.SILENCE]
    assert [(one.anomaly, one.reason) for one in closed] == [(opened[0].anomaly, AnomalyReason.GAVE_UP)]
    assert closed[0].source.topic == "airra.samples.v1"


def test_an_open_anomaly_whose_series_means_something_else_now_is_closed_as_given_up() -> None:
    log = each_second(100, lambda i: [(POOL, 0.9 if i >= 60 else 0.1)], POOL)
    log.define(series("cart", Kind.SATURATION, metric=POOL.metric))
    assert [one.reason for one in phases(log, Phase.CLOSED)] == [AnomalyReason.GAVE_UP]


def test_a_snapshot_of_an_older_format_keeps_what_series_mean() -> None:
    log = each_second(50, lambda _: [(POOL, 0.1)], POOL)
    data = unpack(stage(CONFIG).snapshot(fold(log)))
    assert b"\xa6format\x03" in data
    old = restore(data.replace(b"\xa6format\x03", b"\xa6format\x01"), CONFIG)
    assert (old.registry.index, old.sources.all[0].mark, old.registry.slots.seen[0]) == ({POOL.id: 0}, 49, 0)
