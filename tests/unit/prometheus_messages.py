"""The messages of remote_write, built from descriptors: Prometheus publishes no Python package, and the tests' encoder must not be ours.

Field numbers: prometheus/prompb/remote.proto, types.proto and io/prometheus/write/v2/types.proto.
"""

from __future__ import annotations

from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_DOUBLE, _INT64, _UINT64, _STRING, _MESSAGE, _UINT32, _SINT32, _SINT64 = 1, 3, 4, 9, 11, 13, 17, 18

Field = tuple[str, int, int | str, str]  # name, number, type, rule

_HISTOGRAM: list[Field] = [
    ("count_int", 1, _UINT64, "oneof"),
    ("count_float", 2, _DOUBLE, "oneof"),
    ("sum", 3, _DOUBLE, ""),
    ("schema", 4, _SINT32, ""),
    ("zero_threshold", 5, _DOUBLE, ""),
    ("zero_count_int", 6, _UINT64, "oneof"),
    ("zero_count_float", 7, _DOUBLE, "oneof"),
    ("negative_spans", 8, "BucketSpan", "repeated"),
    ("negative_deltas", 9, _SINT64, "repeated"),
    ("negative_counts", 10, _DOUBLE, "repeated"),
    ("positive_spans", 11, "BucketSpan", "repeated"),
    ("positive_deltas", 12, _SINT64, "repeated"),
    ("positive_counts", 13, _DOUBLE, "repeated"),
    ("reset_hint", 14, _UINT32, ""),
    ("timestamp", 15, _INT64, ""),
    ("custom_values", 16, _DOUBLE, "repeated"),
]
_SPAN: list[Field] = [("offset", 1, _SINT32, ""), ("length", 2, _UINT32, "")]
_SAMPLE: list[Field] = [("value", 1, _DOUBLE, ""), ("timestamp", 2, _INT64, "")]

_ONE: dict[str, list[Field]] = {
    "Sample": _SAMPLE,
    "Label": [("name", 1, _STRING, ""), ("value", 2, _STRING, "")],
    "Exemplar": [("labels", 1, "Label", "repeated"), ("value", 2, _DOUBLE, ""), ("timestamp", 3, _INT64, "")],
    "BucketSpan": _SPAN,
    "Histogram": _HISTOGRAM,
    "TimeSeries": [
        ("labels", 1, "Label", "repeated"),
        ("samples", 2, "Sample", "repeated"),
        ("exemplars", 3, "Exemplar", "repeated"),
        ("histograms", 4, "Histogram", "repeated"),
    ],
    "MetricMetadata": [
        ("type", 1, _UINT32, ""),
        ("metric_family_name", 2, _STRING, ""),
        ("help", 4, _STRING, ""),
        ("unit", 5, _STRING, ""),
    ],
    "WriteRequest": [("timeseries", 1, "TimeSeries", "repeated"), ("metadata", 3, "MetricMetadata", "repeated")],
}
_TWO: dict[str, list[Field]] = {
    "Sample": [*_SAMPLE, ("start_timestamp", 3, _INT64, "")],
    "Exemplar": [("labels_refs", 1, _UINT32, "repeated"), ("value", 2, _DOUBLE, ""), ("timestamp", 3, _INT64, "")],
    "BucketSpan": _SPAN,
    "Histogram": [*_HISTOGRAM, ("start_timestamp", 17, _INT64, "")],
    "Metadata": [("type", 1, _UINT32, ""), ("help_ref", 3, _UINT32, ""), ("unit_ref", 4, _UINT32, "")],
    "TimeSeries": [
        ("labels_refs", 1, _UINT32, "repeated"),
        ("samples", 2, "Sample", "repeated"),
        ("histograms", 3, "Histogram", "repeated"),
        ("exemplars", 4, "Exemplar", "repeated"),
        ("metadata", 5, "Metadata", ""),
    ],
    "Request": [("symbols", 4, _STRING, "repeated"), ("timeseries", 5, "TimeSeries", "repeated")],
}


def _build(package: str, messages: dict[str, list[Field]]) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for label, number, kind, rule in fields:
            field: Any = message.field.add(name=label, number=number, label=3 if rule == "repeated" else 1)
            if isinstance(kind, str):
                field.type, field.type_name = _MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
            if rule == "oneof":  # presence is told, as in the oneofs of the original
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{label}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


V1 = _build("prometheus", _ONE)
V2 = _build("io.prometheus.write.v2", _TWO)


def series(labels: dict[str, str], *samples: tuple[int, float], histograms: tuple[Any, ...] = ()) -> Any:
    """Build a TimeSeries of 1.0, its labels in the order given."""
    found = V1["TimeSeries"]()
    for name, value in labels.items():
        found.labels.add(name=name, value=value)
    for at, number in samples:
        found.samples.add(timestamp=at, value=number)
    found.histograms.extend(histograms)
    return found


def request(*found: Any) -> bytes:
    return bytes(V1["WriteRequest"](timeseries=found).SerializeToString())


def request_2(symbols: list[str], *found: Any) -> bytes:
    return bytes(V2["Request"](symbols=symbols, timeseries=found).SerializeToString())


def pack(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
