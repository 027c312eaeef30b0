"""detect, given seconds of samples: what it calls out of the ordinary, and what it does not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from models.detection.univariate import Univariate
from schemas.kinds import Direction, Kind
from schemas.samples import LARGEST, SeriesDef
from schemas.signals import Anomaly, AnomalyReason, Health, Phase
from streams.detect import stage
from streams.harness.errors import Poison
from streams.harness.stage import Record
from tests.unit.detect_feed import CONFIG, T0, Log, anomalies, counter, each_second, histogram, phases, series, signals

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MEMORY = series("cart", Kind.MEMORY, unit="bytes")
UP = series("cart", Kind.UP, direction=Direction.DOWN)
CACHE = series("cart", Kind.CACHE, unit="ratio", direction=Direction.DOWN)
POOL = series("cart", Kind.POOL, unit="ratio")
REQUESTS = counter("cart", Kind.REQUESTS, unit="requests", direction=Direction.NONE)
ERRORS = counter("cart", Kind.ERRORS, unit="errors")
MB = 1_048_576
HASTY = CONFIG.model_copy(update={"health_s": 1.0, "health_watched_s": 1.0})


def seconds(at: int) -> float:
    return (at - T0) / 1000


def pool(level: float, seed: int = 1) -> float:
    return level + 0.02 * np.random.default_rng(seed).normal()


def test_a_step_opens_within_six_seconds_and_names_the_series() -> None:
    log = each_second(90, lambda i: [(POOL, pool(0.9 if i >= 60 else 0.1, i))], POOL)
    (opened,) = phases(log, Phase.OPENED)
    assert seconds(opened.at) <= 66
    assert seconds(opened.opened_at) == 60.3
    assert opened.evidence.kind is Kind.POOL
    assert opened.evidence.series == f"{POOL.id:016x}"
    assert opened.evidence.z > 3
    assert opened.evidence.low < 0.1 < opened.evidence.high < 0.9
    assert len(opened.evidence.points) == 10


def test_the_band_of_a_departure_stays_that_of_before_and_a_lasting_fault_is_not_absorbed() -> None:
    log = each_second(60 + 600, lambda i: [(POOL, pool(0.9 if i >= 60 else 0.1, i))], POOL)
    found = anomalies(log)
    assert [one.phase for one in found if one.phase is not Phase.CONTINUED] == [Phase.OPENED]
    assert len({one.anomaly for one in found}) == 1
    continued = [one for one in found if one.phase is Phase.CONTINUED]
    assert len(continued) >= 58
    assert all(later.at - earlier.at == 10_000 for earlier, later in itertools.pairwise(continued))
    assert continued[-1].evidence.baseline == pytest.approx(0.1, abs=0.02)


def test_a_recovery_closes_the_same_anomaly() -> None:
    log = each_second(140, lambda i: [(POOL, pool(0.9 if 60 <= i < 100 else 0.1, i))], POOL)
    opened, closed = (phases(log, phase)[0] for phase in (Phase.OPENED, Phase.CLOSED))
    assert closed.anomaly == opened.anomaly
    assert 104 <= seconds(closed.at) <= 110
    assert closed.evidence.peak_z >= opened.evidence.z
    assert len(anomalies(log)) == 2 + len(phases(log, Phase.CONTINUED))


def test_after_the_release_a_lasting_level_of_context_becomes_the_baseline() -> None:
    context = series("cart", Kind.OTHER, direction=Direction.UP)
    others = CONFIG.kinds[Kind.OTHER].model_copy(update={"release_s": 60})
    config = CONFIG.model_copy(update={"kinds": {**CONFIG.kinds, Kind.OTHER: others}, "history_s": 60})
    log = each_second(600, lambda i: [(context, pool(0.9 if i >= 60 else 0.1, i))], context)
    (closed,) = phases(log, Phase.CLOSED, config)
    assert seconds(closed.at) > 180


def test_a_leak_is_seen_and_ordinary_growth_after_a_start_is_not() -> None:
    grown = lambda i: 40 * MB + 6 * MB * (1 - math.exp(-i / 30))  # noqa: E731
    quiet = each_second(300, lambda i: [(MEMORY, grown(i))], MEMORY)
    assert anomalies(quiet) == []
    leak = each_second(100, lambda i: [(MEMORY, grown(i) + 8 * MB * max(0, i - 60))], MEMORY)
    (opened,) = phases(leak, Phase.OPENED)
    assert seconds(opened.at) <= 69


def test_a_flat_series_has_a_floor_and_a_step_below_it_is_ordinary() -> None:
    assert anomalies(each_second(200, lambda i: [(POOL, 0.1 + (0.25 if i >= 60 else 0))], POOL)) == []
    assert len(phases(each_second(200, lambda i: [(POOL, 0.1 + (0.35 if i >= 60 else 0))], POOL), Phase.OPENED)) == 1


def test_only_the_bad_direction_counts() -> None:
    assert anomalies(each_second(200, lambda i: [(CACHE, 0.4 if i < 60 else 0.95)], CACHE)) == []
    (opened,) = phases(each_second(90, lambda i: [(CACHE, 0.9 if i < 60 else 0.1)], CACHE), Phase.OPENED)
    assert opened.evidence.z < -3
    assert opened.evidence.peak_z < -3


def test_nothing_is_judged_before_there_is_a_history() -> None:
    assert anomalies(each_second(29, lambda i: [(POOL, 0.1 if i < 20 else 1.0)], POOL)) == []


def test_a_lone_outlier_opens_nothing_and_does_not_widen_the_band() -> None:
    log = each_second(200, lambda i: [(POOL, 5.0 if i % 20 == 19 else 0.1)], POOL)
    assert anomalies(log) == []
    last = [one for one in signals(log) if isinstance(one, Health)][-1]
    assert last.series[0].high < 0.5


def test_a_counter_becomes_a_rate_and_a_reset_counts_what_came_after_it() -> None:
    value = {i: 10.0 * i if i < 50 else 10.0 * (i - 50) + 7 for i in range(100)}
    log = each_second(100, lambda i: [(REQUESTS, value[i])], REQUESTS)
    rates = {
        at: v for one in signals(log) if isinstance(one, Health) for s in one.series if s.metric.endswith(":rate") for at, v in s.points
    }
    assert rates[T0 + 49_300] == 10.0
    assert rates.get(T0 + 50_300, 7.0) == 7.0
    assert min(rates.values()) >= 7.0


def test_quantiles_are_those_of_prometheus() -> None:
    buckets = histogram("cart", (0.1, 0.2, 0.4, None))
    growth = (10.0, 40.0, 90.0, 100.0)  # rank 50 lies 10/50 into (0.2, 0.4], rank 95 in the last bucket: its lower bound
    log = each_second(12, lambda i: [(b, g * i) for b, g in zip(buckets, growth, strict=True)], *buckets)
    found = {s.metric.rpartition(":")[2]: s for one in signals(log) if isinstance(one, Health) for s in one.series if ":" in s.metric}
    assert found["p50"].value == pytest.approx(0.2 + 0.2 * 10 / 50)
    assert found["p95"].value == 0.4
    assert found["rate"].value == pytest.approx(100)
    assert len({one.series for one in found.values()}) == 3


@pytest.mark.parametrize("bounds", [(1.7976931348623157e308, None), (-1e308, 1e308, None), (1e306, None), (-1.7e308, -1e300, None)])
@pytest.mark.parametrize("per_second", [20.0, 2e3, 1e29])
def test_bounds_at_the_end_of_the_floats_end_nothing_and_hide_nothing(bounds: tuple[float | None, ...], per_second: float) -> None:
    buckets, other = histogram("cart", bounds), series("shop", Kind.POOL)
    leak = lambda i: 0.2 if i < 40 else 0.95  # noqa: E731
    log = each_second(60, lambda i: [*((bucket, per_second * i) for bucket in buckets), (other, leak(i))], *buckets, other)
    found = signals(log)
    assert {one.evidence.service for one in found if isinstance(one, Anomaly)} == {"shop"}
    values = [evidence.value for one in found if isinstance(one, Health) for evidence in one.series if evidence.metric.endswith("p95")]
    assert values
    assert all(abs(value) <= LARGEST for value in values)


def test_a_histogram_that_began_anew_counts_from_nothing_in_every_bucket() -> None:
    buckets = histogram("cart", (0.1, 0.2, None))
    before, after = (0.0, 10.0, 100.0), (10.0, 30.0, 40.0)  # only the last bucket is seen to fall
    log = each_second(
        15, lambda i: list(zip(buckets, before if i < 11 else after if i == 11 else (20.0 * i, 30.0 * i, 40.0 * i), strict=True)), *buckets
    )
    points = {
        at: v
        for one in signals(log, HASTY)
        if isinstance(one, Health)
        for s in one.series
        if s.metric.endswith(":p50")
        for at, v in s.points
    }
    assert points[T0 + 11_300] == pytest.approx(0.15)  # rank 20 of 10, 30, 40; were the second bucket's 10 taken off, 0.2


def test_errors_are_judged_as_a_share_of_requests() -> None:
    def second(i: int) -> list[tuple[SeriesDef, float]]:
        failed = 0.1 * i if i < 60 else 6 + 12.0 * (i - 60)
        return [(REQUESTS, 40.0 * i), (ERRORS, failed)]

    opened = phases(each_second(80, second, REQUESTS, ERRORS), Phase.OPENED)
    assert [one.evidence.metric for one in opened] == ["error_ratio"]
    assert opened[0].evidence.value == pytest.approx(0.3)
    assert seconds(opened[0].at) <= 67


def test_errors_that_share_their_metric_with_requests_add_up_with_them() -> None:
    fine = counter("cart", Kind.REQUESTS, metric="http_requests_total", label="200", direction=Direction.NONE)
    failed = counter("cart", Kind.ERRORS, metric="http_requests_total", label="500")
    log = each_second(80, lambda i: [(fine, 30.0 * i), (failed, 10.0 * max(0, i - 60))], fine, failed)
    (opened,) = phases(log, Phase.OPENED)
    assert opened.evidence.value == pytest.approx(0.25)


def test_a_tail_that_moves_without_its_median_must_last() -> None:
    buckets = histogram("cart", (*BOUNDS, None))

    def scrape(slow_from: int, slow_for: int, share: float):
        totals = np.zeros(len(buckets))

        def second(i: int) -> list[tuple[SeriesDef, float]]:
            slow = share if slow_from <= i < slow_from + slow_for else 0.0
            growth = np.where(np.array([*BOUNDS, math.inf]) >= 0.025, 40 * (1 - slow), 0) + np.where(
                np.array([*BOUNDS, math.inf]) >= 0.5, 40 * slow, 0
            )
            totals[:] += growth
            return list(zip(buckets, totals.tolist(), strict=True))

        return second

    assert anomalies(each_second(120, scrape(60, 10, 0.2), *buckets)) == []
    (tail,) = phases(each_second(120, scrape(60, 40, 0.2), *buckets), Phase.OPENED)
    assert tail.evidence.metric.endswith(":p95")
    (whole,) = phases(each_second(120, scrape(60, 40, 0.8), *buckets), Phase.OPENED)
    assert seconds(whole.at) <= 67 < seconds(tail.at)


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


def test_a_series_that_falls_silent_is_a_signal_and_its_return_ends_it() -> None:
    log = each_second(120, lambda i: [(MEMORY, 50 * MB)] + ([(POOL, 0.1)] if not 60 <= i < 90 else []), MEMORY, POOL)
    opened, closed = (phases(log, phase) for phase in (Phase.OPENED, Phase.CLOSED))
    assert [(one.reason, one.evidence.metric) for one in opened] == [(AnomalyReason.SILENCE, POOL.metric)]
    assert seconds(opened[0].opened_at) == 59.3
    assert seconds(opened[0].at) <= 68
    assert [(one.anomaly, one.reason, seconds(one.at)) for one in closed] == [(opened[0].anomaly, AnomalyReason.SILENCE, 91.0)]


def test_the_whole_pipeline_falling_silent_accuses_nobody_when_it_comes_back() -> None:
    many = [series(f"s{i}", Kind.MEMORY, unit="bytes") for i in range(5)]
    log = Log().define(*many)
    for i in [*range(60), *range(200, 260)]:
        log.rows([(one, T0 + 1000 * i, 50.0 * MB) for one in many[: 1 if i == 200 else 5]])
        if i == 59:
            for tick in range(60, 200, 5):
                log.tick(T0 + 1000 * tick)
    assert anomalies(log) == []


def test_a_series_that_its_instance_lost_in_a_restart_is_not_missed() -> None:
    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(REQUESTS, 40.0 * (i if i < 60 else i - 60)), *([(POOL, 0.1)] if i < 60 else [])]

    assert anomalies(each_second(120, second, REQUESTS, POOL)) == []


def test_an_instance_that_was_scaled_in_is_not_missed_and_the_last_one_is() -> None:
    pods = [series("cart", Kind.MEMORY, unit="bytes", instance=f"i:{i}") for i in (1, 2)]
    other = series("shop", Kind.MEMORY, unit="bytes")
    scaled_in = each_second(
        120, lambda i: [(other, 1.0 * MB), (pods[0], 50.0 * MB), *([(pods[1], 50.0 * MB)] if i < 60 else [])], *pods, other
    )
    assert anomalies(scaled_in) == []
    gone = each_second(120, lambda i: [(other, 1.0 * MB), *((pod, 50.0 * MB) for pod in pods if i < 60)], *pods, other)
    assert {one.evidence.instance for one in phases(gone, Phase.OPENED)} == {"i:1", "i:2"}


def test_health_comes_every_ten_seconds_and_every_five_of_a_service_in_trouble() -> None:
    calm = series("shop", Kind.POOL, unit="ratio")
    log = each_second(120, lambda i: [(calm, 0.1), (POOL, 0.9 if i >= 60 else 0.1), (MEMORY, 50.0 * MB)], calm, POOL, MEMORY)
    health = [one for one in signals(log) if isinstance(one, Health)]
    at = {
        (s, k): [seconds(one.at) for one in health if (one.service, one.kind) == (s, k)]
        for s, k in {(one.service, one.kind) for one in health}
    }
    assert at["shop", Kind.POOL] == list(range(10, 120, 10))
    assert at["cart", Kind.MEMORY] == [*range(10, 61, 10), *range(65, 120, 5)]
    last = [one for one in health if one.service == "cart"][-2:]
    assert all(len(one.series[0].points) == 10 for one in last)
    assert {one.kind: one.anomalous for one in last} == {Kind.MEMORY: 0, Kind.POOL: 1}
    assert len({one.id for one in health}) == len(health)


def test_a_reading_of_the_worst_eight_keeps_what_was_anomalous_lately() -> None:
    many = [series("cart", Kind.POOL, unit="ratio", instance=f"i:{n:02}") for n in range(20)]
    log = each_second(
        150, lambda i: [(one, 0.9 if n == 17 and 60 <= i < 90 else 0.1 + 0.001 * ((i * 7 + n) % 5)) for n, one in enumerate(many)], *many
    )
    last = [one for one in signals(log) if isinstance(one, Health)][-1]
    assert (last.series_count, last.anomalous, len(last.series)) == (20, 0, 8)
    assert last.series[0].instance == "i:17"


def test_one_series_alone_is_judged_alike() -> None:
    values = [pool(0.9 if i >= 60 else 0.1, i) for i in range(90)]
    alone = Univariate(CONFIG, kind=Kind.POOL, unit="ratio", direction=Direction.UP)
    readings = [alone.update(T0 + 1000 * i + 300, value) for i, value in enumerate(values)]
    (opened,) = phases(each_second(90, lambda i: [(POOL, values[i])], POOL), Phase.OPENED)
    first = next(reading for reading in readings if reading.anomalous)
    assert (first.at, round(first.z, 3)) == (opened.evidence.points[-1][0], opened.evidence.z)
    assert first.score > 0.5 > readings[59].score
    with pytest.raises(ValueError, match="finite"):
        alone.update(T0, math.nan)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ((), b"{}"),
        ((("airra.type", b"samples"),), b"no arrow"),
        ((("airra.type", b"series"),), b"{}"),
        ((("airra.type", b"tick"),), b'{"type":"tick"}'),
    ],
)
def test_what_is_none_of_the_four_types_is_poison(header: tuple[tuple[str, bytes], ...], value: bytes) -> None:
    one = stage(CONFIG)
    with pytest.raises(Poison):
        one.apply(one.restore(None), Record("airra.samples.v1", 0, 0, T0, None, value, header), T0)


def shop(seed: int):
    """A service under the demo's load: rhythm of 120 s, ±30 %, 10 % noise; bucketed latency with its p95 at 15 to 25 ms."""
    rng = np.random.default_rng(seed)
    name = f"s{seed}"
    requests, errors = counter(name, Kind.REQUESTS, unit="requests", direction=Direction.NONE), counter(name, Kind.ERRORS, unit="errors")
    cpu, up = counter(name, Kind.CPU, unit="seconds"), series(name, Kind.UP, direction=Direction.DOWN)
    memory, in_use = series(name, Kind.MEMORY, unit="bytes"), series(name, Kind.POOL, unit="ratio")
    cache = series(name, Kind.CACHE, unit="ratio", direction=Direction.DOWN)
    buckets = histogram(name, (*BOUNDS, None))
    defs = [requests, errors, cpu, memory, in_use, cache, up, *buckets]
    totals = {one.id: 0.0 for one in defs}

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        rate = 40 * (1 + 0.3 * math.sin(2 * math.pi * (i + 6 * seed) / 120)) * max(0.2, rng.normal(1, 0.1))
        count = rng.poisson(rate)
        took = rng.gamma(4, 0.002, count) * (1 + 0.3 * rate / 40) + np.where(rng.random(count) < 0.02, rng.uniform(0.02, 0.08, count), 0)
        totals[requests.id] += count
        totals[errors.id] += rng.binomial(count, 0.002)
        totals[cpu.id] += 0.001 * count * rng.uniform(0.8, 1.2)
        for one in buckets:
            totals[one.id] += int((took <= (math.inf if one.le is None else one.le)).sum())
        levels = {
            memory.id: 40 * MB + 5 * MB * (1 - math.exp(-i / 60)) + rng.normal(0, 0.2 * MB),
            in_use.id: min(1.0, rate * 0.0008 * rng.gamma(2, 0.5)),
            cache.id: rng.binomial(200, 0.88) / 200,
            up.id: 1.0,
        }
        return [(one, levels.get(one.id, totals[one.id])) for one in defs]

    return second, defs


def test_ten_minutes_of_the_ordinary_rhythm_raise_no_alarm_at_any_of_twenty_services() -> None:
    shops = [shop(seed) for seed in range(20)]
    log = each_second(600, lambda i: [row for second, _ in shops for row in second(i)], *(one for _, defs in shops for one in defs))
    config = CONFIG.model_copy(update={"health_s": 300.0, "health_watched_s": 300.0})
    found = signals(log, config)
    wrong = [one for one in found if isinstance(one, Anomaly) and config.kinds[one.evidence.kind].opens]
    assert [(one.evidence.service, one.evidence.metric, seconds(one.at)) for one in wrong] == []
    (last,) = [one for one in found if isinstance(one, Health) and (one.service, one.kind) == ("s3", Kind.LATENCY)]
    assert 0.01 < max(reading.baseline for reading in last.series) < 0.03
