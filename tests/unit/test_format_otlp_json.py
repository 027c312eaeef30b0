"""OTLP in JSON says what its protobuf says, in JSON's own way of writing numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    Sum,
    Summary,
    SummaryDataPoint,
)

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.otlp import Otlp
from streams.normalise.formats.otlp_json import MAX_BYTES, OtlpJson
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.staleness import is_stale
from tests.unit.otlp_messages import AT, CUMULATIVE, DELTA, NANOS, as_json, attributes, export, gauge, point, resource

JSON, PROTO = OtlpJson(), Otlp()


def told(found: OtlpJson | Otlp, record: bytes) -> list[tuple[Described, int | None, str] | Rejection]:
    return [(found.describe(item.key), item.at, repr(item.value)) if isinstance(item, Sample) else item for item in found.read(record)]


def metric(data: dict[str, Any], name: Any = "x", resource_attributes: Any = None, scope: Any = None, **more: Any) -> bytes:
    scope_metrics = {"scope": scope, "metrics": [{"name": name, **data, **more}]}
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": resource_attributes}, "scopeMetrics": [scope_metrics]}]}).encode()


def one(number: dict[str, Any]) -> bytes:
    return metric({"gauge": {"dataPoints": [number]}})


def value(number: dict[str, Any]) -> float:
    [item] = JSON.read(one(number))
    assert isinstance(item, Sample), item
    return item.value


def label(content: Any) -> str:
    [item] = JSON.read(one({"asInt": "1", "attributes": [{"key": "a", "value": content}]}))
    assert isinstance(item, Sample), item
    return JSON.describe(item.key).labels["a"]


def refused(record: bytes) -> Rejection:
    [item] = JSON.read(record)
    if isinstance(item, Sample):
        with pytest.raises(Rejected) as why:
            JSON.describe(item.key)
        return why.value.rejection
    return item


EVERYTHING = export(
    resource(
        gauge("g", point(1.5, {"a": "1", "b": [1, 2.5, None, {"c": b"\x01"}]}), point(-7), unit="By"),
        Metric(name="s", sum=Sum(data_points=[point(2.0)], aggregation_temporality=DELTA, is_monotonic=True)),
        Metric(
            name="h",
            histogram=Histogram(
                aggregation_temporality=CUMULATIVE,
                data_points=[
                    HistogramDataPoint(time_unix_nano=NANOS, count=3, sum=1.5, bucket_counts=[1, 2], explicit_bounds=[0.5]),
                    HistogramDataPoint(count=1, bucket_counts=[2]),
                    HistogramDataPoint(flags=1),
                ],
            ),
        ),
        Metric(
            name="e",
            exponential_histogram=ExponentialHistogram(
                aggregation_temporality=DELTA,
                data_points=[
                    ExponentialHistogramDataPoint(
                        time_unix_nano=NANOS,
                        count=9,
                        scale=-1,
                        zero_count=2,
                        zero_threshold=0.01,
                        positive={"offset": -3, "bucket_counts": [1, 0, 3]},
                        negative={"bucket_counts": [3]},
                    )
                ],
            ),
        ),
        Metric(
            name="q",
            summary=Summary(data_points=[SummaryDataPoint(count=2, sum=0.5, quantile_values=[{"quantile": 0.5, "value": math.nan}])]),
        ),
        labels={"service.name": "shop", "yes": True, "ratio": 0.5, "infinite": math.inf},
        scope={"name": "meter", "version": "1", "own": 5},
    ),
    resource(gauge("g", point(math.inf), point(math.nan), point(None))),
)


def test_json_of_protobufs_own_library_says_the_same_as_the_protobuf() -> None:
    found = told(JSON, as_json(EVERYTHING))

    assert found == told(PROTO, EVERYTHING)
    assert len(found) == 27


def test_integers_are_texts_or_numbers() -> None:
    assert [value({"asInt": given}) for given in ("-9223372036854775808", 5, "0")] == [-(2.0**63), 5.0, 0.0]
    [item] = JSON.read(one({"asInt": 1, "timeUnixNano": NANOS}))
    [same] = JSON.read(one({"asInt": 1, "timeUnixNano": str(NANOS)}))
    assert item == same
    assert isinstance(item, Sample)
    assert item.at == AT


@pytest.mark.parametrize("given", ["1.5", "9223372036854775808", "", "x", "\uff11", True, 2**63, 1.5, [1], "1" * 5000, "--1"])
def test_what_is_no_integer_of_64_bits_is_rejected_with_its_place(given: Any) -> None:
    found = refused(one({"asInt": given}))

    assert found.reason is Reason.WRONG_TYPE
    assert found.detail.startswith("metric 'x', data point 1: ")


def test_doubles_are_numbers_or_texts_and_three_of_them_words() -> None:
    assert [value({"asDouble": given}) for given in (1, 0.5, "2.5", "-1e3", "Infinity", "-Infinity")] == [
        1,
        0.5,
        2.5,
        -1000,
        math.inf,
        -math.inf,
    ]
    assert math.isnan(value({"asDouble": "NaN"}))


@pytest.mark.parametrize("given", ["", "1_0", " 1", "x", True, {}, "0x10"])
def test_what_is_no_double_is_rejected(given: Any) -> None:
    assert refused(one({"asDouble": given})).reason is Reason.WRONG_TYPE


def test_null_is_the_same_as_absent() -> None:
    record = metric(
        {"gauge": {"dataPoints": [{"asInt": "1", "asDouble": None, "attributes": None, "timeUnixNano": None}]}, "unit": None, "sum": None}
    )

    [item] = JSON.read(record)
    assert isinstance(item, Sample)
    assert (JSON.describe(item.key), item.at, item.value) == (Described({"__name__": "x"}, MetricType.GAUGE), None, 1.0)
    assert JSON.read(b'{"resourceMetrics": null}') == JSON.read(b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": null}]}]}') == []


def test_unknown_names_are_passed_over() -> None:
    record = metric({"gauge": {"dataPoints": [{"asInt": "1", "new": {"x": [1]}}], "new": 1}, "new": 1}, scope={"name": "m", "new": [1]})

    [item] = JSON.read(record)
    assert isinstance(item, Sample)
    assert JSON.describe(item.key).labels == {"__name__": "x", "otel_scope_name": "m"}


def test_a_point_without_a_recorded_value_ends_its_series() -> None:
    assert is_stale(value({"flags": 1}))
    assert refused(one({"flags": 0})).detail.endswith("no value")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"stringValue": "a"}, "a"),
        ({"boolValue": False}, "false"),
        ({"intValue": "-5"}, "-5"),
        ({"intValue": 5}, "5"),
        ({"doubleValue": 1.0}, "1"),
        ({"doubleValue": "Infinity"}, "+Inf"),
        ({"bytesValue": "AP8="}, "AP8="),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}, {"stringValue": "b"}]}}, '[1,null,"b"]'),
        ({"arrayValue": {}}, "[]"),
        ({"kvlistValue": {"values": [{"key": "b", "value": {"boolValue": True}}, {"key": "a"}]}}, '{"a":null,"b":true}'),
        ({"stringValue": None, "intValue": "7"}, "7"),
    ],
)
def test_every_kind_of_value_has_a_text(content: Any, expected: str) -> None:
    assert label(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"stringValue": 1},
        {"boolValue": "true"},
        {"intValue": 1.5},
        {"intValue": True},
        {"doubleValue": "x"},
        {"bytesValue": "?"},
        {"bytesValue": 1},
        {"arrayValue": {"values": 1}},
        {"arrayValue": {"values": [1]}},
        {"kvlistValue": {"values": [{"key": 1}]}},
        {"kvlistValue": {"values": ["a"]}},
        "text",
    ],
)
def test_a_value_of_another_type_is_rejected(content: Any) -> None:
    assert refused(one({"asInt": "1", "attributes": [{"key": "a", "value": content}]})).reason is Reason.WRONG_TYPE


def test_values_nested_beyond_reason_are_rejected() -> None:
    content: Any = {"stringValue": "deep"}
    for _ in range(40):
        content = {"arrayValue": {"values": [content]}}

    assert "nested more than 16 deep" in refused(one({"asInt": "1", "attributes": [{"key": "a", "value": content}]})).detail
    very = b"[" * 100_000
    with pytest.raises(Rejected):
        JSON.read(b'{"resourceMetrics": [{"resource": {"attributes": ' + very)


def test_a_bad_point_is_one_rejection_and_the_others_are_read() -> None:
    items = JSON.read(metric({"gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": []}, 7, {"asInt": "2"}]}}))

    assert [item.value if isinstance(item, Sample) else item.detail[:27] for item in items] == [
        1.0,
        "metric 'x', data point 2: E",
        "metric 'x', data point 3: E",
        2.0,
    ]


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (metric({}), "'x': data of 0 kinds"),
        (metric({"gauge": {}, "sum": {}}), "'x': data of 2 kinds"),
        (metric({"gauge": {}}, name=None), "no name"),
        (metric({"gauge": {}}, name=5), "Expected `str | null`"),
        (metric({"sum": {"dataPoints": []}}), "temporality 0"),
        (metric({"sum": {"aggregationTemporality": "DELTA"}}), "Expected `int | null`"),
    ],
)
def test_a_metric_that_cannot_be_read_is_one_rejection(record: bytes, detail: str) -> None:
    [item] = JSON.read(record)

    assert isinstance(item, Rejection)
    assert item.detail.startswith("metric 1 of its scope: ")
    assert detail in item.detail


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"[]", Reason.WRONG_TYPE),
        (b"{}", Reason.MISSING_FIELD),
        (b'{"labels": {}, "value": "1"}', Reason.MISSING_FIELD),
        (b'{"resourceMetrics": [', Reason.NOT_JSON),
        (b'{"resourceMetrics": {}}', Reason.WRONG_TYPE),
        (b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": 5}]}]}', Reason.WRONG_TYPE),
        (b'{"resourceMetrics": [] "\xff"}', Reason.NOT_JSON),
        (b" " * (MAX_BYTES + 1), Reason.TOO_LARGE),
    ],
)
def test_a_record_of_another_format_is_rejected_whole(record: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as why:
        JSON.read(record)
    assert why.value.rejection.reason is reason


def test_attributes_that_can_mean_nothing_are_rejected() -> None:
    twice = [{"key": "a", "value": {"stringValue": "1"}}] * 2

    assert "'a' of the data point is there twice" in refused(one({"asInt": "1", "attributes": twice})).detail
    assert "of the resource is there twice" in refused(metric({"gauge": {"dataPoints": [{"asInt": 1}]}}, resource_attributes=twice)).detail
    assert "without a name" in refused(one({"asInt": "1", "attributes": [{"value": {"stringValue": "1"}}]})).detail
    assert refused(one({"asInt": "1", "attributes": {"a": 1}})).reason is Reason.WRONG_TYPE


def test_the_fixture_of_the_json_is_the_protobuf() -> None:
    assert attributes({"a": 1})[0].value.int_value == 1
    assert b'"resourceMetrics"' in as_json(EVERYTHING)
    assert b'"dataPoints"' in as_json(EVERYTHING)
