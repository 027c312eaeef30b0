"""OTLP's messages, built with the package that OpenTelemetry publishes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

CUMULATIVE, DELTA = 2, 1
AT = 1_795_489_200_123
NANOS = AT * 1_000_000 + 456_789


def any_value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(value)))
    kinds = {str: "string_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return AnyValue(**{kinds[type(value)]: value})


def attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in values.items()]


def point(value: float | None = 1.0, labels: Mapping[str, Any] | None = None, **more: Any) -> NumberDataPoint:
    given = {} if value is None else {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return NumberDataPoint(**{"time_unix_nano": NANOS, "attributes": attributes(labels or {}), **given, **more})


def gauge(name: str, *points: NumberDataPoint, unit: str = "") -> Metric:
    return Metric(name=name, unit=unit, gauge=Gauge(data_points=points))


def resource(*metrics: Metric, labels: Mapping[str, Any] | None = None, scope: Mapping[str, Any] | None = None) -> ResourceMetrics:
    own = dict(scope or {})
    named = InstrumentationScope(name=own.pop("name", ""), version=own.pop("version", ""), attributes=attributes(own))
    return ResourceMetrics(
        resource=Resource(attributes=attributes(labels or {})), scope_metrics=[ScopeMetrics(scope=named, metrics=metrics)]
    )


def export(*resources: ResourceMetrics) -> bytes:
    return ExportMetricsServiceRequest(resource_metrics=resources).SerializeToString()


def as_json(record: bytes) -> bytes:
    """Write a record as protobuf's own library writes JSON, enums as integers."""
    return json.dumps(MessageToDict(ExportMetricsServiceRequest.FromString(record), use_integers_for_enums=True)).encode()
