"""Native histograms of remote_write become classic buckets that count the same observations."""

from __future__ import annotations

import math
from typing import Any

import pytest

from schemas.kinds import MetricType
from streams.normalise.fates import Rejected, Rejection
from streams.normalise.formats.buckets import MAX_BOUNDS, Exponential, bound_of, bound_text, exponential
from streams.normalise.formats.port import Sample
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2
from streams.normalise.formats.staleness import STALE, is_stale
from tests.unit.prometheus_messages import V1, V2, request, request_2, series

ONE, TWO = RemoteWrite(), RemoteWrite2()
NAME = {"__name__": "latency", "job": "shop"}


def native(**fields: Any) -> Any:
    """Build an integer histogram whose positive buckets are given by index, unless fields say otherwise."""
    return V1["Histogram"](**{"timestamp": 7, "sum": 10.5, **fields})


def parts(*histograms: Any) -> dict[str, float]:
    """Return the values by the suffix and le."""
    found: dict[str, float] = {}
    for item in ONE.read(request(series(NAME, histograms=histograms))):
        assert isinstance(item, Sample), item
        described = ONE.describe(item.key)
        assert item.at == 7
        assert described.type is MetricType.HISTOGRAM
        assert described.labels["job"] == "shop"
        found[described.labels["__name__"].removeprefix("latency") + described.labels.get("le", "")] = item.value
    return found


def refused(histogram: Any) -> str:
    [item] = ONE.read(request(series(NAME, histograms=(histogram,))))
    assert isinstance(item, Rejection)
    assert item.detail.startswith("time series 1, a native histogram: ")
    return item.detail


def test_bounds_are_prometheus_own_to_the_last_bit() -> None:
    assert [bound_of(index, 1) for index in range(-2, 4)] == [0.5, 0.7071067811865475, 1.0, 1.414213562373095, 2.0, 2.82842712474619]
    assert [bound_of(index, 0) for index in (-1, 0, 1)] == [0.5, 1.0, 2.0]
    assert [bound_of(index, -2) for index in (-1, 0, 1)] == [0.0625, 1.0, 16.0]
    assert bound_of(1024, 0) == 1.7976931348623157e308
    assert bound_of(1025, 0) == bound_of(10**9, -4) == math.inf
    assert bound_of(-(10**9), -4) == 0


def test_a_bound_has_one_text() -> None:
    bound_text.cache_clear()
    assert [bound_text(bound) for bound in (-0.0, 0.0, 1, 1e-5, math.inf)] == ["0.0", "0.0", "1.0", "1e-05", "+Inf"]


def test_a_bucket_becomes_its_two_bounds_and_the_total_is_in_the_last() -> None:
    found = parts(native(schema=0, count_int=3, positive_spans=[{"offset": 1, "length": 1}], positive_deltas=[3]))

    assert found == {"_bucket1.0": 0, "_bucket2.0": 3, "_bucket+Inf": 3, "_count": 3, "_sum": 10.5}


def test_spans_and_deltas_say_which_bucket_has_what_and_gaps_are_filled_in() -> None:
    histogram = native(
        schema=0,
        count_int=9,
        positive_spans=[{"offset": -1, "length": 2}, {"offset": 2, "length": 1}],
        positive_deltas=[2, 1, 1],  # 2, 3, 4 in the buckets -1, 0, 3
    )

    assert parts(histogram) == {
        "_bucket0.25": 0,
        "_bucket0.5": 2,
        "_bucket1.0": 5,
        "_bucket2.0": 5,
        "_bucket4.0": 5,
        "_bucket8.0": 9,
        "_bucket+Inf": 9,
        "_count": 9,
        "_sum": 10.5,
    }


def test_negative_observations_and_zeros_come_before_the_positive_ones() -> None:
    histogram = native(
        schema=0,
        count_int=10,
        zero_threshold=0.125,
        zero_count_int=4,
        negative_spans=[{"offset": 0, "length": 2}],
        negative_deltas=[1, 1],  # one in [-1, -0.5), two in [-2, -1)
        positive_spans=[{"offset": 0, "length": 1}],
        positive_deltas=[3],
    )

    assert parts(histogram) == {
        "_bucket-2.0": 0,
        "_bucket-1.0": 2,
        "_bucket-0.5": 3,
        "_bucket-0.125": 3,
        "_bucket0.125": 7,
        "_bucket0.5": 7,
        "_bucket1.0": 10,
        "_bucket+Inf": 10,
        "_count": 10,
        "_sum": 10.5,
    }


def test_a_zero_bucket_alone_is_one_bound() -> None:
    assert parts(native(count_int=4, zero_count_int=4)) == {"_bucket0.0": 4, "_bucket+Inf": 4, "_count": 4, "_sum": 10.5}


def test_finer_buckets_are_merged_by_prometheus_own_formula() -> None:
    histogram = native(schema=3, count_int=12, positive_spans=[{"offset": 1, "length": 8}], positive_deltas=[1, 0, 0, 0, 1, 0, 0, 0])

    # Of the eight buckets of (1, 2], four end at the square root of two.
    assert parts(histogram) == {
        "_bucket1.0": 0,
        "_bucket1.414213562373095": 4,
        "_bucket2.0": 12,
        "_bucket+Inf": 12,
        "_count": 12,
        "_sum": 10.5,
    }


def test_histograms_of_floats_have_their_counts_as_they_are() -> None:
    histogram = native(count_float=2.5, positive_spans=[{"offset": 1, "length": 2}], positive_counts=[0.5, 1.5])

    assert parts(histogram) == {"_bucket1.0": 0, "_bucket2.0": 0.5, "_bucket4.0": 2, "_bucket+Inf": 2.5, "_count": 2.5, "_sum": 10.5}


def test_custom_buckets_have_the_bounds_that_are_given() -> None:
    histogram = native(
        schema=-53,
        count_int=6,
        custom_values=[0.1, 0.5, 2],
        positive_spans=[{"offset": 0, "length": 1}, {"offset": 1, "length": 2}],
        positive_deltas=[1, 1, 1],
    )

    assert parts(histogram) == {"_bucket0.1": 1, "_bucket0.5": 1, "_bucket2.0": 3, "_bucket+Inf": 6, "_count": 6, "_sum": 10.5}


def test_a_wide_histogram_is_scaled_down_until_it_fits_and_each_bound_left_counts_the_same() -> None:
    wide = Exponential(1, dict.fromkeys(range(-100, 60), 1), dict.fromkeys(range(-100, 60), 1), 0.0, 0)

    found = {bucket.le: bucket.total for bucket in exponential(wide, 320)}

    assert 100 < len(found) <= MAX_BOUNDS + 1
    for le, total in found.items():
        bound = float(le)
        negative = sum(-bound_of(index - 1, 1) <= bound for index in wide.negative)
        assert total == (320 if bound == math.inf else negative + sum(bound_of(index, 1) <= bound for index in wide.positive)), le


def test_two_observations_at_the_ends_of_all_floats_still_fit() -> None:
    histogram = native(
        schema=8, count_int=2, positive_spans=[{"offset": -270_000, "length": 1}, {"offset": 529_000, "length": 1}], positive_deltas=[1, 0]
    )

    found = parts(histogram)
    assert len(found) <= MAX_BOUNDS + 3
    assert list(found.values())[:-3] == sorted(list(found.values())[:-3])
    assert found["_bucket+Inf"] == 2


def test_bounds_that_no_bucket_of_the_pipeline_has_are_left_to_the_last() -> None:
    found = parts(native(schema=-4, count_int=2, positive_spans=[{"offset": 6, "length": 2}], positive_deltas=[1, 0]))

    assert list(found) == ["_bucket1.2089258196146292e+24", "_bucket7.922816251426434e+28", "_bucket+Inf", "_count", "_sum"]  # not 2**112


def test_a_marker_of_staleness_ends_the_count_the_sum_and_the_last_bucket() -> None:
    found = parts(native(sum=STALE))

    assert list(found) == ["_bucket+Inf", "_count", "_sum"]
    assert all(map(is_stale, found.values()))


def test_observations_that_are_no_number_are_counted_and_in_no_bucket() -> None:
    found = parts(native(sum=math.nan, count_int=3, positive_spans=[{"offset": 1, "length": 1}], positive_deltas=[2]))

    assert (found["_bucket2.0"], found["_bucket+Inf"], found["_count"]) == (2, 3, 3)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"count_int": 1, "positive_spans": [{"offset": 0, "length": 2}], "positive_deltas": [1]}, "spans of 2 buckets, and 1 counts"),
        ({"count_int": 1, "positive_spans": [{"offset": 0, "length": 2**32 - 1}], "positive_deltas": [1]}, "spans of 4294967295 buckets"),
        (
            {"count_int": 2, "positive_spans": [{"length": 1}, {"offset": -1, "length": 1}], "positive_deltas": [1, 0]},
            "span 2 begins 1 buckets",
        ),
        ({"count_int": 2, "positive_spans": [{"length": 2}], "positive_deltas": [1, -2]}, "-1 observations in bucket 1"),
        ({"count_int": 1, "positive_spans": [{"length": 1}], "positive_deltas": [2]}, "2 observations in the buckets of 1"),
        ({"count_float": math.nan}, "count nan"),
        ({"count_float": 1, "positive_spans": [{"length": 1}], "positive_counts": [math.nan]}, "nan observations in bucket 0"),
        ({"count_float": 1, "zero_threshold": -1}, "within -1.0"),
        ({"schema": 9}, "schema 9"),
        ({"schema": -5}, "schema -5"),
        ({"schema": -53, "custom_values": [1, 1]}, "custom bounds that do not rise"),
        ({"schema": -53, "custom_values": [1, math.inf]}, "custom bounds that do not rise"),
        (
            {"schema": -53, "count_int": 1, "positive_spans": [{"offset": 1, "length": 1}], "positive_deltas": [1]},
            "buckets 1 to 1, and 0 custom bounds",
        ),
        ({"custom_values": [1] * 10_000}, "80"),
    ],
)
def test_what_is_no_sound_histogram_is_one_rejection(fields: dict[str, Any], detail: str) -> None:
    assert detail in refused(native(**fields))


def test_counts_may_fall_where_the_histogram_says_that_it_is_a_gauge() -> None:
    record = request(series(NAME, histograms=(native(count_int=0, reset_hint=3),)))

    assert {ONE.describe(item.key).type for item in ONE.read(record) if isinstance(item, Sample)} == {MetricType.GAUGE}


def test_a_native_histogram_has_no_label_le_of_its_own() -> None:
    items = ONE.read(request(series(NAME | {"le": "1"}, histograms=(native(),))))

    with pytest.raises(Rejected, match="no label le of its own"):
        ONE.describe(items[0].key)  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "expected"), [(0, MetricType.HISTOGRAM), (3, MetricType.HISTOGRAM), (4, MetricType.GAUGE)])
def test_the_second_version_has_the_same_histograms(kind: int, expected: MetricType) -> None:
    histogram = V2["Histogram"]()
    histogram.ParseFromString(native(count_int=3, positive_spans=[{"offset": 1, "length": 1}], positive_deltas=[3]).SerializeToString())
    found = V2["TimeSeries"](labels_refs=[1, 2], histograms=[histogram], metadata={"type": kind, "unit_ref": 3})

    items = [item for item in TWO.read(request_2(["", "__name__", "latency", "seconds"], found)) if isinstance(item, Sample)]

    described = [TWO.describe(item.key) for item in items]
    assert [found.labels["__name__"] for found in described] == ["latency_bucket"] * 3 + ["latency_count", "latency_sum"]
    assert {found.type for found in described} == {expected}
    assert {found.unit for found in described} == {"seconds"}
