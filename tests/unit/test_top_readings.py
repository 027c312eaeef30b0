"""Two readings of /metrics: increases across a restart, rates, quantiles of a histogram."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from cli.top.readings import Between, Reading, buckets, parse, quantile

RECORDS = "airra_harness_records_total"


def reading(at_s: float, started: float = 1.0, **by_stage: float) -> Reading:
    lines = [f'{RECORDS}{{stage="{stage}"}} {value}' for stage, value in by_stage.items()]
    return parse("\n".join([f"# TYPE {RECORDS} counter", *lines, f"process_start_time_seconds {started}", ""]), at_s)


def test_what_the_client_library_writes_is_read() -> None:
    registry = CollectorRegistry()
    Counter("airra_some_rows_total", "rows", ["fate"], registry=registry).labels('odd "fate"\n').inc(3)
    Histogram("airra_some_seconds", "seconds", buckets=(1, 2), registry=registry).observe(1.5)
    found = parse(generate_latest(registry).decode(), 5.0)
    assert found.at_s == 5.0
    assert found.by("airra_some_rows_total", "fate") == {'odd "fate"\n': 3.0}
    assert buckets(found.samples["airra_some_seconds_bucket"]) == [(1.0, 0.0), (2.0, 1.0), (math.inf, 1.0)]


def test_what_is_no_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="not"):
        parse("<html>not found</html>", 0.0)


def test_a_rate_is_the_rise_in_a_second_over_all_series() -> None:
    between = Between(reading(10.0, detect=100, dedup=5), reading(14.0, detect=120, dedup=5))
    assert between.rate(RECORDS) == 5.0
    assert between.rates(RECORDS, "stage") == {"detect": 5.0}
    assert between.rate("airra_nothing_total") is None


def test_a_series_that_was_not_there_before_rose_from_nothing() -> None:
    between = Between(reading(10.0, detect=100), reading(12.0, detect=100, dedup=8))
    assert between.rates(RECORDS, "stage") == {"dedup": 4.0}


def test_a_counter_that_fell_began_anew() -> None:
    between = Between(reading(10.0, detect=100), reading(12.0, detect=6))
    assert between.rate(RECORDS) == 3.0


def test_a_process_that_began_anew_counts_from_nothing_even_where_it_has_passed_the_old_count() -> None:
    between = Between(reading(10.0, started=1.0, detect=100), reading(12.0, started=11.0, detect=130))
    assert between.rate(RECORDS) == 65.0


# 5 up to 10, 10 more up to 20, 5 more up to 40.
@pytest.mark.parametrize(("q", "expected"), [(0.125, 5.0), (0.25, 10.0), (0.5, 15.0), (0.75, 20.0), (0.9, 32.0), (1.0, 40.0)])
def test_a_quantile_lies_evenly_within_its_bucket(q: float, expected: float) -> None:
    assert quantile(q, [(10.0, 5.0), (20.0, 15.0), (40.0, 20.0), (math.inf, 20.0)]) == pytest.approx(expected)


def test_what_is_beyond_the_last_bound_is_taken_for_it() -> None:
    assert quantile(0.95, [(1.0, 1.0), (2.0, 2.0), (math.inf, 100.0)]) == 2.0


@pytest.mark.parametrize("cumulative", [[], [(1.0, 0.0), (math.inf, 0.0)]])
def test_of_nothing_there_is_no_quantile(cumulative: list[tuple[float, float]]) -> None:
    assert quantile(0.5, cumulative) is None


def test_buckets_of_several_series_are_added_up() -> None:
    text = (
        'x_bucket{stage="a",le="1.0"} 2\nx_bucket{stage="b",le="1.0"} 3\nx_bucket{stage="a",le="+Inf"} 4\nx_bucket{stage="b",le="+Inf"} 4\n'
    )
    assert buckets(parse(text, 0.0).samples["x_bucket"]) == [(1.0, 5.0), (math.inf, 8.0)]
