"""What detect makes of counters and histograms: rates, quantiles, and errors as a share of requests."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest

from models.detection.state import restore, snapshot, unpack
from schemas.health_record import HealthRecord
from schemas.kinds import Direction, Kind
from schemas.samples import LARGEST, SeriesDef
from schemas.signals import Anomaly, Health, Phase
from tests.unit.detect_cart import BOUNDS, ERRORS, REQUESTS, seconds
from tests.unit.detect_feed import CONFIG, T0, Log, anomalies, counter, each_second, fold, histogram, phases, series, signals, tolds

HASTY = CONFIG.model_copy(update={"health_s": 1.0, "health_watched_s": 1.0})


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
    assert (found["p99"].value, found["p99"].kind) == (0.4, Kind.OTHER)
    assert len({one.series for one in found.values()}) == 4


def tails(per_second: float, **settings: int) -> list[tuple[int, float]]:
    """Return the points of the p99 where one request in forty is slow."""
    buckets = histogram("cart", (0.1, 0.2, 0.4, None))
    share = (0.0, 0.975, 1.0, 1.0)
    log = each_second(60, lambda i: [(b, per_second * s * i) for b, s in zip(buckets, share, strict=True)], *buckets)
    found = signals(log, HASTY.model_copy(update=settings))
    return sorted({p for one in found if isinstance(one, Health) for s in one.series if s.metric.endswith(":p99") for p in s.points})


@pytest.mark.parametrize(("per_second", "every"), [(100, 1), (10, 5), (1, 50)])
def test_a_p99_has_five_times_as_many_observations_behind_it_as_a_p95(per_second: int, every: int) -> None:
    points = tails(per_second)
    assert points[0][1] == pytest.approx(0.2 + 0.2 * (0.99 - 0.975) / 0.025)
    assert points[0][0] == T0 + 1000 * every + 300
    assert {(later - at) // 1000 for (at, _), (later, _) in itertools.pairwise(points)} <= {every}


def test_no_p99_is_kept_where_none_is_wanted() -> None:
    assert tails(100, tail_count=0) == []


def test_a_histogram_of_a_release_before_goes_on_without_a_p99() -> None:
    buckets = histogram("cart", (0.1, 0.2, 0.4, None))
    log = each_second(30, lambda i: [(b, 100.0 * i) for b in buckets], *buckets)
    image = msgspec.msgpack.decode(unpack(snapshot(fold(Log().define(*buckets)))), strict=False)
    for table, columns in {"units": ["tail"], "hists": ["tail", "tail_since"]}.items():
        for column in columns:
            del image["tables"][table][column]
    state = restore(msgspec.msgpack.encode(image), HASTY)
    found = [one for told in tolds(log.records, HASTY, state) for one in told.signals if isinstance(one, HealthRecord)]
    told = [Health.model_validate_json(msgspec.json.encode(one)) for one in found]
    assert {s.metric.rpartition(":")[2] for one in told for s in one.series if ":" in s.metric} == {"p50", "p95", "rate"}
    assert state.registry.hists.tail.shape == (1, CONFIG.max_buckets)
    assert len(state.registry.metas) == state.registry.slots.count == 6, (
        "p50, p95, rate, error ratio, restarts and all together: what nothing has is given up"
    )


def test_a_tail_beyond_the_p95_is_told_and_opens_nothing() -> None:
    buckets = histogram("cart", (0.1, 0.2, 0.4, None))
    totals = np.zeros(4)

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        totals[:] += (98.5, 98.5, 100, 100) if i >= 60 else (100, 100, 100, 100)
        return list(zip(buckets, totals.tolist(), strict=True))

    found = signals(each_second(120, second, *buckets))
    (last,) = [one for one in found if isinstance(one, Health) and one.kind is Kind.OTHER and one.at == T0 + 110_000]
    (told,) = [one for one in last.series if one.metric.endswith(":p99")]
    assert told.value > told.high
    assert (last.anomalous, [one for one in found if isinstance(one, Anomaly)]) == (0, [])


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
