"""OTLP metrics in JSON: protobuf's JSON mapping, with the exceptions of https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding .

Names are in lowerCamelCase, 64-bit integers are texts (numbers are read too), enums are integers, unknown names are passed over, null
is the same as absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.harvest import MAX_KEY_BYTES, Harvest
from streams.normalise.formats.otlp_json_points import read_exponential, read_histogram, read_number, read_summary
from streams.normalise.formats.otlp_json_values import KeyValue, pairs
from streams.normalise.formats.otlp_keys import Kind, Metric, Scope, describe
from streams.normalise.formats.otlp_points import histogram_kind, sum_kind
from streams.normalise.formats.otlp_values import Pairs
from streams.normalise.formats.port import Described, Sample
from streams.normalise.jsons import decode

MAX_BYTES = 8 * 1024 * 1024  # the collector's Kafka exporter sends 1 MB at most unless it is told to


class _Struct(msgspec.Struct, rename="camel", gc=False):
    pass


class _Resource(_Struct):
    attributes: msgspec.Raw = msgspec.Raw()


class _ScopeMetrics(_Struct):
    scope: msgspec.Raw = msgspec.Raw()
    metrics: list[msgspec.Raw] | None = None


class _ResourceMetrics(_Struct):
    resource: _Resource | None = None
    scope_metrics: list[_ScopeMetrics] | None = None


class _Export(_Struct):
    resource_metrics: list[_ResourceMetrics] | None


class _Data(_Struct):
    data_points: list[msgspec.Raw] | None = None
    aggregation_temporality: int | None = None
    is_monotonic: bool | None = None


class _Metric(_Struct):
    name: str | None = None
    unit: str | None = None
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None


class _Scope(_Struct):
    name: str | None = None
    version: str | None = None
    attributes: list[KeyValue] | None = None


_EXPORT = msgspec.json.Decoder(_Export)
_METRIC = msgspec.json.Decoder(_Metric)
_SCOPE = msgspec.json.Decoder(_Scope | None)
_ATTRIBUTES = msgspec.json.Decoder(list[KeyValue] | None)

_READERS: dict[str, Callable[[bytes, msgspec.Raw], list[Sample]]] = {
    "gauge": read_number,
    "sum": read_number,
    "histogram": read_histogram,
    "exponential_histogram": read_exponential,
    "summary": read_summary,
}


class OtlpJson:
    name = "otlp-json"

    def read(self, value: bytes) -> list[Sample | Rejection]:
        harvest = Harvest()
        for resource_metrics in decode(_EXPORT, value, MAX_BYTES).resource_metrics or ():
            resource = bytes(resource_metrics.resource.attributes) if resource_metrics.resource else b""
            for scope_metrics in resource_metrics.scope_metrics or ():
                scope = bytes(scope_metrics.scope)
                if len(resource) + len(scope) > MAX_KEY_BYTES:
                    large = f"attributes of {len(resource) + len(scope)} bytes of a resource and a scope, at most {MAX_KEY_BYTES}"
                    harvest.reject(Rejection(Reason.TOO_LARGE, large))
                    continue
                for number, metric in enumerate(scope_metrics.metrics or (), 1):
                    _metric(harvest, metric, number, Metric(resource, scope, "", ""))
        return harvest.items

    def describe(self, key: bytes) -> Described:
        return describe(key, _READER)


class _JsonReader:
    def attributes(self, data: bytes) -> Pairs:
        return pairs(decode(_ATTRIBUTES, data, MAX_KEY_BYTES) if data else None)

    def scope(self, data: bytes) -> Scope:
        found = (decode(_SCOPE, data, MAX_KEY_BYTES) if data else None) or _Scope()
        return Scope(found.name or "", found.version or "", pairs(found.attributes))


_READER = _JsonReader()


def _metric(harvest: Harvest, raw: msgspec.Raw, number: int, common: Metric) -> None:
    try:
        metric, data_kind, points = _head(raw, common)
    except Rejected as refused:
        harvest.reject(refused.rejection, f"metric {number} of its scope")
        return
    prefix = metric.key
    harvest.spend(len(prefix))
    read = _READERS[data_kind]
    for position, point in enumerate(points, 1):
        try:
            samples = read(prefix, point)
        except Rejected as refused:
            harvest.reject(refused.rejection, f"metric {metric.name[:64]!r}, data point {position}")
            continue
        harvest.take(samples)


def _head(raw: msgspec.Raw, common: Metric) -> tuple[Metric, str, list[msgspec.Raw]]:
    """Return what the points have in common, which kind of data they are, and the points."""
    found = decode(_METRIC, raw, MAX_BYTES)
    given: dict[str, Any] = {name: data for name in _READERS if (data := getattr(found, name)) is not None}
    if not found.name or len(given) != 1:
        raise Rejected(Reason.MISSING_FIELD, f"{found.name[:64]!r}: data of {len(given)} kinds" if found.name else "no name")
    [(data_kind, data)] = given.items()
    metric = Metric(common.resource, common.scope, found.name, found.unit or "", _kind(data_kind, data))
    return metric, data_kind, data.data_points or []


def _kind(data_kind: str, data: _Data) -> Kind:
    temporality = data.aggregation_temporality or 0
    if data_kind == "sum":
        return sum_kind(temporality, monotonic=bool(data.is_monotonic))
    if data_kind in {"histogram", "exponential_histogram"}:
        return histogram_kind(temporality)
    return Kind.SUMMARY if data_kind == "summary" else Kind.GAUGE
