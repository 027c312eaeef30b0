"""OTLP in protobuf: every kind of metric, its labels, its key, and what is wrong with it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    Sum,
    Summary,
    SummaryDataPoint,
)

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats import harvest
from streams.normalise.formats.otlp import Otlp
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.staleness import is_stale
from tests.unit.otlp_messages import AT, CUMULATIVE, DELTA, NANOS, attributes, export, gauge, point, resource

OTLP = Otlp()
STALE_FLAG = 1


def read(*metrics: Metric, **more: Any) -> list[tuple[Described, int | None, float]]:
    items = OTLP.read(export(resource(*metrics, **more)))
    assert all(isinstance(item, Sample) for item in items), items
    return [(OTLP.describe(item.key), item.at, item.value) for item in items if isinstance(item, Sample)]


def labels(*metrics: Metric, **more: Any) -> dict[str, str]:
    [(described, _, _)] = read(*metrics, **more)
    return described.labels


def rejections(*metrics: Metric) -> list[str]:
    return [item.detail for item in OTLP.read(export(resource(*metrics))) if isinstance(item, Rejection)]


def values(metric: Metric) -> dict[str, float]:
    """Return the values of a distribution by suffix and bound."""
    found: dict[str, float] = {}
    for described, at, value in read(metric):
        assert at == AT
        name = described.labels["__name__"].removeprefix("h")
        found[name + described.labels.get("le", described.labels.get("quantile", ""))] = value
    return found


def total(*points: Any, temporality: int = CUMULATIVE, monotonic: bool = True) -> Metric:
    return Metric(name="s", sum=Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=monotonic))


def histogram(temporality: int = CUMULATIVE, **fields: Any) -> Metric:
    given = HistogramDataPoint(**{"time_unix_nano": NANOS, **fields})
    return Metric(name="h", histogram=Histogram(data_points=[given], aggregation_temporality=temporality))


def exponential(**fields: Any) -> Metric:
    given = ExponentialHistogramDataPoint(**{"time_unix_nano": NANOS, **fields})
    return Metric(name="h", exponential_histogram=ExponentialHistogram(data_points=[given], aggregation_temporality=CUMULATIVE))


def summary(**fields: Any) -> Metric:
    return Metric(name="h", summary=Summary(data_points=[SummaryDataPoint(**{"time_unix_nano": NANOS, **fields})]))


def test_a_gauge_has_its_value_its_time_in_milliseconds_and_its_unit() -> None:
    found = read(gauge("system.cpu.utilization", point(0.25), point(3), unit="1"))

    assert found == [
        (Described({"__name__": "system.cpu.utilization"}, MetricType.GAUGE, unit="1"), AT, 0.25),
        (Described({"__name__": "system.cpu.utilization"}, MetricType.GAUGE, unit="1"), AT, 3.0),
    ]


def test_a_whole_number_may_be_negative_and_a_zero_is_a_value() -> None:
    assert [value for _, _, value in read(gauge("x", point(-5), point(0), point(0.0)))] == [-5.0, 0.0, 0.0]


def test_a_point_without_a_time_has_none() -> None:
    assert [at for _, at, _ in read(gauge("x", point(1.0, time_unix_nano=0)))] == [None]


@pytest.mark.parametrize(
    ("temporality", "monotonic", "expected", "delta"),
    [
        (CUMULATIVE, True, MetricType.COUNTER, False),
        (CUMULATIVE, False, MetricType.GAUGE, False),
        (DELTA, True, MetricType.COUNTER, True),
        (DELTA, False, MetricType.GAUGE, True),
    ],
)
def test_a_sum_counts_from_the_beginning_or_from_the_point_before(
    temporality: int, monotonic: bool, expected: MetricType, delta: bool
) -> None:
    [(described, _, _)] = read(total(point(1.0), temporality=temporality, monotonic=monotonic))

    assert (described.type, described.delta) == (expected, delta)


def test_a_sum_of_no_temporality_is_rejected() -> None:
    [detail] = rejections(total(point(1.0), temporality=0))

    assert detail == "metric 1 of its scope: aggregation temporality 0: neither delta nor cumulative"


def test_labels_are_of_the_resource_the_scope_and_the_point() -> None:
    found = labels(
        gauge("x", point(labels={"http.method": "GET"})),
        labels={"service.name": "shop"},
        scope={"name": "meter", "version": "1.2", "short_name": "m"},
    )

    assert found == {
        "__name__": "x",
        "service.name": "shop",
        "otel_scope_name": "meter",
        "otel_scope_version": "1.2",
        "otel_scope_short_name": "m",
        "http.method": "GET",
    }


def test_of_one_name_on_two_levels_the_nearer_to_the_point_wins() -> None:
    found = labels(
        gauge("x", point(labels={"a": "point", "otel_scope_name": "point"})),
        labels={"a": "resource", "otel_scope_name": "resource", "otel_scope_b": "resource"},
        scope={"name": "scope", "b": "scope"},
    )

    assert found == {"__name__": "x", "a": "point", "otel_scope_name": "point", "otel_scope_b": "scope"}


def test_no_attribute_takes_the_place_of_the_metrics_name_or_of_a_bound() -> None:
    metric = histogram(count=1, bucket_counts=[1], attributes=attributes({"__name__": "other", "le": "7"}))

    assert [found.labels for found, _, _ in read(metric)][:2] == [
        {"__name__": "h_bucket", "le": "+Inf"},
        {"__name__": "h_count", "le": "7"},
    ]


def test_an_empty_value_means_that_the_label_is_absent() -> None:
    assert labels(gauge("x", point(labels={"a": "", "b": None, "c": "1"})), labels={"a": "1"}) == {"__name__": "x", "c": "1"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text – ü", "text – ü"),
        (True, "true"),
        (False, "false"),
        (-(2**63), "-9223372036854775808"),
        (0.1, "0.1"),
        (200.0, "200"),
        (1e300, "1e+300"),
        (math.nan, "NaN"),
        (-math.inf, "-Inf"),
        (b"\x00\xff", "AP8="),
        (["a", 1, 2.0, None, True], '["a",1,2,null,true]'),
        ({"b": [b"\x01"], "a": {"c": math.inf}}, '{"a":{"c":"+Inf"},"b":["AQ=="]}'),
        ([], "[]"),
    ],
)
def test_every_kind_of_value_has_a_text(value: Any, expected: str) -> None:
    assert labels(gauge("x", point(labels={"a": value})))["a"] == expected


def test_values_nested_beyond_reason_are_rejected() -> None:
    value: Any = "deep"
    for _ in range(40):
        value = [value]
    [item] = OTLP.read(export(resource(gauge("x", point(labels={"a": value})))))

    with pytest.raises(Rejected, match="nested more than 16 deep"):
        OTLP.describe(item.key)  # type: ignore[union-attr]


@pytest.mark.parametrize(("names", "detail"), [(["a", "a"], "'a' of the data point is there twice"), ([""], "without a name")])
def test_attributes_that_can_mean_nothing_are_rejected(names: list[str], detail: str) -> None:
    found = [pair for name in names for pair in attributes({name: "1"})]
    [item] = OTLP.read(export(resource(gauge("x", point(attributes=found)))))

    with pytest.raises(Rejected, match=detail):
        OTLP.describe(item.key)  # type: ignore[union-attr]


def test_explicit_buckets_become_cumulative() -> None:
    metric = histogram(count=10, sum=12.5, bucket_counts=[1, 2, 3, 4], explicit_bounds=[0.1, 1, 2.5], min=0, max=9)

    assert values(metric) == {"_bucket0.1": 1, "_bucket1.0": 3, "_bucket2.5": 6, "_bucket+Inf": 10, "_count": 10, "_sum": 12.5}
    assert {found.type for found, _, _ in read(metric)} == {MetricType.HISTOGRAM}


def test_a_histogram_without_buckets_has_a_count_and_without_a_sum_none() -> None:
    assert values(histogram(count=10)) == {"_bucket+Inf": 10, "_count": 10}
    assert values(histogram(count=10, bucket_counts=[10], sum=0.0)) == {"_bucket+Inf": 10, "_count": 10, "_sum": 0}


def test_a_histogram_of_deltas_says_so() -> None:
    assert {found.delta for found, _, _ in read(histogram(DELTA, count=1))} == {True}
    assert {found.delta for found, _, _ in read(histogram(count=1))} == {False}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"count": 3, "bucket_counts": [1, 2], "explicit_bounds": [1, 2]}, "2 buckets and 2 bounds"),
        ({"count": 3, "explicit_bounds": [1, 2]}, "0 buckets and 2 bounds"),
        ({"count": 3, "bucket_counts": [1, 1, 1], "explicit_bounds": [2, 1]}, "bounds that do not rise"),
        ({"count": 3, "bucket_counts": [1, 1, 1], "explicit_bounds": [1, math.nan]}, "bounds that do not rise"),
        ({"count": 3, "bucket_counts": [1, 1, 1], "explicit_bounds": [1, math.inf]}, "bounds that do not rise"),
        ({"count": 3, "bucket_counts": [1, 3], "explicit_bounds": [1]}, "4 observations in the buckets of 3"),
    ],
)
def test_a_histogram_that_contradicts_itself_is_rejected(fields: dict[str, Any], detail: str) -> None:
    [found] = rejections(histogram(**fields))

    assert found.startswith("metric 'h', data point 1: ")
    assert detail in found


def test_very_many_bounds_are_thinned_and_those_left_count_the_same() -> None:
    found = values(histogram(count=1001, bucket_counts=[1] * 1001, explicit_bounds=range(1000)))

    assert len(found) == 200 + 2
    assert all(value == float(name.removeprefix("_bucket")) + 1 for name, value in found.items() if "Inf" not in name and "bucket" in name)


def test_bucket_0_of_an_exponential_histogram_begins_at_1() -> None:
    metric = exponential(count=7, sum=1.0, scale=0, zero_count=1, positive={"offset": 0, "bucket_counts": [2, 0, 4]})

    assert values(metric) == {
        "_bucket0.0": 1,
        "_bucket1.0": 1,
        "_bucket2.0": 3,
        "_bucket4.0": 3,
        "_bucket8.0": 7,
        "_bucket+Inf": 7,
        "_count": 7,
        "_sum": 1,
    }


def test_a_finer_scale_is_merged_and_negative_buckets_are_mirrored() -> None:
    metric = exponential(count=4, scale=2, positive={"offset": -1, "bucket_counts": [1, 1]}, negative={"offset": 0, "bucket_counts": [2]})

    assert values(metric) == {
        "_bucket-1.414213562373095": 0,
        "_bucket-1.0": 2,
        "_bucket0.7071067811865475": 2,
        "_bucket1.0": 3,
        "_bucket1.414213562373095": 4,
        "_bucket+Inf": 4,
        "_count": 4,
    }


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"scale": 21}, "scale 21"),
        ({"scale": -(2**31)}, "scale -2147483648"),
        ({"count": 1, "positive": {"bucket_counts": [2]}}, "2 observations in the buckets of 1"),
        ({"zero_threshold": math.nan}, "a zero bucket of nan"),
    ],
)
def test_an_exponential_histogram_that_cannot_be_is_rejected(fields: dict[str, Any], detail: str) -> None:
    [found] = rejections(exponential(**fields))

    assert detail in found


def test_a_summary_has_its_quantiles_as_gauges_and_its_totals_as_counters() -> None:
    metric = summary(count=4, sum=2.5, quantile_values=[{"quantile": 0.5, "value": 0.1}, {"quantile": 1, "value": 0.9}])

    assert values(metric) == {"0.5": 0.1, "1.0": 0.9, "_count": 4, "_sum": 2.5}
    assert [found.type for found, _, _ in read(metric)] == [MetricType.GAUGE] * 2 + [MetricType.COUNTER] * 2
    assert rejections(summary(quantile_values=[{"quantile": 1.5}])) == ["metric 'h', data point 1: a quantile outside of 0 to 1"]


def test_a_point_without_a_recorded_value_ends_its_series() -> None:
    found = values(histogram(flags=STALE_FLAG, explicit_bounds=[1])) | {
        f"e{name}": value for name, value in values(exponential(flags=STALE_FLAG)).items()
    }
    found |= {"s" + name: value for name, value in values(summary(flags=STALE_FLAG, quantile_values=[{"quantile": 0.5}])).items()}
    found["g"] = read(gauge("x", point(None, flags=STALE_FLAG)))[0][2]

    assert sorted(found) == [
        "_bucket+Inf",
        "_bucket1.0",
        "_count",
        "_sum",
        "e_bucket+Inf",
        "e_count",
        "e_sum",
        "g",
        "s0.5",
        "s_count",
        "s_sum",
    ]
    assert all(map(is_stale, found.values()))


def test_a_bad_point_is_one_rejection_with_its_place_and_the_others_are_read() -> None:
    items = OTLP.read(export(resource(gauge("x", point(1.0), point(None), point(2.0)), gauge("y", point(3.0)))))

    assert [item.value if isinstance(item, Sample) else item for item in items] == [
        1.0,
        Rejection(Reason.MISSING_FIELD, "metric 'x', data point 2: no value"),
        2.0,
        3.0,
    ]


def test_a_metric_that_cannot_be_read_is_one_rejection_and_the_others_are_read() -> None:
    broken = Gauge(data_points=[point(1.0)]).SerializeToString()[:-1]
    metric = Metric(name="x").SerializeToString() + b"\x2a" + bytes([len(broken)]) + broken
    scope = b"\x12" + bytes([len(metric)]) + metric + b"\x12\x00"
    good = export(resource(gauge("y", point(3.0))))
    record = b"\x0a" + bytes([len(scope) + 2]) + b"\x12" + bytes([len(scope)]) + scope + good

    items = OTLP.read(record)
    assert [type(item) for item in items] == [Rejection, Rejection, Sample]
    assert items[1] == Rejection(Reason.MISSING_FIELD, "metric 2 of its scope: no name")


def test_a_metric_without_data_of_a_known_kind_is_rejected() -> None:
    assert rejections(Metric(name="x")) == ["metric 1 of its scope: 'x': no data of a known kind"]


def test_a_broken_container_is_rejected_whole() -> None:
    with pytest.raises(Rejected):
        OTLP.read(export(resource(gauge("x", point(1.0))))[:-1])
    with pytest.raises(Rejected, match="field 1 is missing"):
        OTLP.read(b"\x12\x00")
    assert OTLP.read(b"") == []


def test_metrics_data_reads_as_the_request_does() -> None:
    given = resource(gauge("x", point(1.0)))

    assert OTLP.read(MetricsData(resource_metrics=[given]).SerializeToString()) == OTLP.read(export(given))


def test_fields_may_come_in_any_order_and_messages_in_pieces() -> None:
    whole = resource(gauge("x", point(1.0)), labels={"a": "1"}, scope={"name": "m"})
    scope_metrics = whole.scope_metrics[0]
    scope = b"".join([b"\x12" + bytes([len(body := metric.SerializeToString())]) + body for metric in scope_metrics.metrics])
    name = scope_metrics.scope.SerializeToString()
    scope += b"\x0a" + bytes([len(name)]) + name
    own = whole.resource.SerializeToString()
    swapped = b"\x12" + bytes([len(scope)]) + scope + b"\x0a" + bytes([len(own)]) + own

    assert OTLP.read(b"\x0a" + bytes([len(swapped)]) + swapped) == OTLP.read(export(whole))


def test_keys_are_equal_for_equal_series_and_for_no_others() -> None:
    def key(metric: Metric, **more: Any) -> bytes:
        [item] = OTLP.read(export(resource(metric, **more)))
        assert isinstance(item, Sample)
        return item.key

    same = key(gauge("x", point(1.0, {"a": "1"})))
    assert same == key(gauge("x", point(2.0, {"a": "1"}, time_unix_nano=5, start_time_unix_nano=4)))
    others = [
        key(gauge("y", point(labels={"a": "1"}))),
        key(gauge("x", point(labels={"a": "1"}), unit="s")),
        key(gauge("x", point(labels={"a": "2"}))),
        key(gauge("x", point()), labels={"a": "1"}),
        key(gauge("x", point()), scope={"a": "1"}),
        key(Metric(name="x", sum=Sum(data_points=[point(labels={"a": "1"})], aggregation_temporality=CUMULATIVE))),
        key(Metric(name="x", sum=Sum(data_points=[point(labels={"a": "1"})], aggregation_temporality=DELTA))),
        same,
    ]
    assert len(set(others)) == len(others)


def test_a_resource_too_large_for_a_label_set_is_rejected_and_the_next_is_read() -> None:
    items = OTLP.read(export(resource(gauge("x", point(1.0)), labels={"a": "x" * 70_000}), resource(gauge("x", point(1.0)))))

    assert [item.reason if isinstance(item, Rejection) else item.value for item in items] == [Reason.TOO_LARGE, 1.0]
    assert "of a resource and a scope" in items[0].detail  # type: ignore[union-attr]


def test_many_points_of_a_large_resource_end_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "MAX_ALL_KEYS_BYTES", 100_000)
    with pytest.raises(Rejected, match="labels of all series together"):
        OTLP.read(export(resource(gauge("x", *[point(1.0)] * 20), labels={"a": "x" * 10_000})))


def test_the_fixtures_say_what_they_mean() -> None:
    found = MetricsData.FromString(export(resource(gauge("x", point(1.5, {"a": ["b"]})))))

    assert json.loads(labels(*found.resource_metrics[0].scope_metrics[0].metrics)["a"]) == ["b"]
