"""Raw records as their producers write them, each beside what it says: the labels, time and value of every sample, in order.

A point is what an agent has read at once: fields with their values, tags, one time. Its tag `service` is there always.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple

from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Histogram, HistogramDataPoint, Metric, Sum

from schemas.kinds import MetricType
from streams.harness.stage import Headers
from streams.normalise.formats.confluent import HEADER
from streams.normalise.formats.registry import Schema, SchemaType
from streams.normalise.formats.staleness import STALE, is_stale
from tests.property.test_format_text import Point, line, metric, value_list
from tests.unit.confluent_schemas import GUID, FakeSchemas, avro, frame, in_avro, record
from tests.unit.otlp_messages import as_json, attributes, export, gauge, point, resource
from tests.unit.prometheus_messages import V2, pack, request, request_2, series
from tests.unit.test_format_cloudevents import ATTRIBUTES, BATCH, BINARY, STRUCTURED
from tests.unit.test_format_remote_write import refs

BOUNDS = {0.005: "0.005", 0.5: "0.5", 1.0: "1.0", 2.5: "2.5", 1e21: "1e+21"}  # as they are written in a label
HISTOGRAM = "latency."  # how names of histograms begin
COUNTER_2, GAUGE_2 = 1, 2  # Metadata.MetricType of remote_write 2.0
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_MS = 1_000_000  # nanoseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    labels: dict[str, str]
    at: int
    value: float
    type: MetricType = MetricType.GAUGE
    part: str = ""
    le: float | None = None


@dataclass(frozen=True)
class Sent:
    format: str
    value: bytes
    rows: list[Row]
    headers: Headers = ()


def rows(points: Sequence[Point], kind: MetricType = MetricType.GAUGE) -> list[Row]:
    return [Row(labels, one.nanoseconds // _MS, value, kind) for one in points for labels, value in one.expected()]


# prometheus-kafka-adapter, Telegraf, collectd


def adapter(one: Point) -> Sent:
    """Write the one field of a point, its value without an exponent, as Go's FormatFloat(…, 'f', -1, 64) does."""
    (row,) = rows([one])
    at = (_EPOCH + timedelta(milliseconds=row.at)).isoformat(timespec="milliseconds" if row.at % 1000 else "seconds").replace("+00:00", "Z")
    told = {"labels": row.labels, "name": row.labels["__name__"], "timestamp": at, "value": f"{Decimal(repr(row.value)):f}"}
    return Sent("prometheus-json", json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(), [row])


def influx(points: Sequence[Point]) -> Sent:
    return Sent("influx", b"".join(line(one) + b"\n" for one in points), rows(points))


def telegraf(points: Sequence[Point]) -> Sent:
    """Write a batch, or a metric by itself; json_timestamp_units = "1ms"."""
    metrics = [{**metric(one), "timestamp": one.nanoseconds // _MS} for one in points]
    told = metrics[0] if len(metrics) == 1 else {"metrics": metrics}
    return Sent("telegraf-json", json.dumps(told).encode(), rows(points))


def collectd(points: Sequence[Point]) -> Sent:
    """Write the measurement as the plugin, the service as the host, and a tag's value as the instance of each."""
    lists, found = [], []
    for one in points:
        plugin, at, service = one.measurement, one.nanoseconds // _MS, one.tags["service"]
        instance, kind = (*(value for name, value in sorted(one.tags.items()) if name != "service"), "", "")[:2]
        values = {name: float(value) for name, value in one.fields.items()}
        told = {"values": [*values.values()], "dstypes": ["gauge"] * len(values), "dsnames": [*values], "time": at / 1000}
        lists.append({**value_list([service, plugin, instance, "bytes", kind], []), **told})
        labels = {"instance": service, **({plugin: instance} if instance else {}), **({"type": kind} if kind else {})}
        for name, value in values.items():
            full = "_".join(["collectd", plugin, "bytes", *([name] if name != "value" else [])])
            found.append(Row({"__name__": full, **labels}, at, value))
    return Sent("collectd-rates", json.dumps(lists).encode(), found)


# OpenTelemetry


def _own(one: Point) -> dict[str, str]:
    """Return the attributes of a data point; the service is the resource's."""
    return {name: value for name, value in one.tags.items() if name != "service"}


def _whole(one: Point) -> dict[str, str]:
    return {**_own(one), "service.name": one.tags["service"]}


def otlp(points: Sequence[Point], kind: MetricType = MetricType.GAUGE) -> Sent:
    resources, found = [], []
    for one in points:
        metrics = []
        for row in rows([one], kind):
            value = {"value": None, "flags": 1} if is_stale(row.value) else {"value": row.value}
            at = point(labels=_own(one), time_unix_nano=one.nanoseconds, **value)
            name = row.labels["__name__"]
            total = Sum(data_points=[at], aggregation_temporality=_CUMULATIVE, is_monotonic=True)
            metrics.append(gauge(name, at) if kind is MetricType.GAUGE else Metric(name=name, sum=total))
            labels = {**_whole(one), "__name__": name, "otel_scope_name": "lib", "otel_scope_version": "1"}
            found.append(row._replace(labels=labels))
        resources.append(resource(*metrics, labels={"service.name": one.tags["service"]}, scope={"name": "lib", "version": "1"}))
    return Sent("otlp", export(*resources), found)


def otlp_histogram(one: Point, counts: Sequence[int], total: float | None, *, stale: bool) -> Sent:
    """Write a histogram with as many buckets; the point's own fields are not in it."""
    bounds, ms, name = list(BOUNDS)[: len(counts) - 1], one.nanoseconds // _MS, HISTOGRAM + one.measurement
    at = HistogramDataPoint(
        time_unix_nano=one.nanoseconds,
        attributes=attributes(_own(one)),
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=bounds,
        flags=int(stale),
    )
    of = Metric(name=name, histogram=Histogram(aggregation_temporality=_CUMULATIVE, data_points=[at]))

    def row(part: str, value: float, bound: float | None = None, **more: str) -> Row:
        labels = {**_whole(one), "__name__": f"{name}_{part}", **more}
        return Row(labels, ms, STALE if stale else float(value), MetricType.HISTOGRAM, part, bound)

    sums = [*accumulate(counts)]
    found = [row("bucket", value, bound, le=BOUNDS[bound]) for bound, value in zip(bounds, sums, strict=False)]
    found += [row("bucket", sums[-1], le="+Inf"), row("count", sums[-1])]
    found += [row("sum", total or 0.0)] if total is not None or stale else []
    return Sent("otlp", export(resource(of, labels={"service.name": one.tags["service"]})), found)


def side_by_side(*parts: Sent) -> Sent:
    """Write what is in several requests of OTLP in one: protobuf's messages are put together by putting them one after the other."""
    return Sent("otlp", b"".join(one.value for one in parts), [row for one in parts for row in one.rows])


def in_json(of: Sent) -> Sent:
    return replace(of, format="otlp-json", value=as_json(of.value))


# Prometheus


def _sorted(row: Row) -> dict[str, str]:
    return dict(sorted(row.labels.items()))


def remote_write(points: Sequence[Point]) -> Sent:
    found = rows(points)
    return Sent("remote-write", pack(request(*(series(_sorted(row), (row.at, row.value)) for row in found))), found)


def remote_write_2(points: Sequence[Point], kind: int) -> Sent:
    found = rows(points, MetricType.COUNTER if kind == COUNTER_2 else MetricType.GAUGE)
    symbols = [""]
    of = [
        V2["TimeSeries"](
            labels_refs=refs(symbols, _sorted(row)),
            samples=[V2["Sample"](timestamp=row.at, value=row.value)],
            metadata=V2["Metadata"](type=kind),
        )
        for row in found
    ]
    return Sent("remote-write-2", pack(request_2(symbols, *of)), found)


# documents of a team's own

MAPPING = {
    "each": "$.items[*]",
    "metrics": [{"name": "$.name", "value": "$.value"}, {"name": "load.ü", "value": "$.load"}],
    "timestamp": "$.at",
    "timestamp_unit": "ms",
    "labels": {"service": "$.service", "zone.é": "$$.zone", "fixed": "a b"},
}
_ITEM = record(("name", "string"), ("value", "double"), ("load", ["null", "double"]), ("at", "long"), ("service", "string"), name="Item")
AVRO = record(("zone", "string"), ("items", {"type": "array", "items": _ITEM}))
JSON_ID = 2**32 - 1
SCHEMAS = FakeSchemas({7: avro(AVRO), GUID: avro(AVRO), JSON_ID: Schema(SchemaType.JSON, "{}")})


def _document(points: Sequence[Point], zone: str) -> tuple[dict[str, Any], list[Row]]:
    """Return the readings of these points; the first of each has a load, too, which is what it reads."""
    items, found = [], []
    for one in points:
        for number, row in enumerate(rows([one])):
            name, service = row.labels["__name__"], row.labels["service"]
            load = row.value if number == 0 else None
            items.append({"name": name, "value": row.value, "load": load, "at": row.at, "service": service})
            labels = {"service": service, "zone.é": zone, "fixed": "a b"}
            found.append(row._replace(labels={**labels, "__name__": name}))
            if load is not None:
                found.append(row._replace(labels={**labels, "__name__": "load.ü"}))
    return {"zone": zone, "items": items}, found


def mapped(points: Sequence[Point], zone: str) -> Sent:
    document, found = _document(points, zone)
    return Sent("json", json.dumps(document).encode(), found)


def framed(points: Sequence[Point], zone: str, asked: Any, *, beside: bool) -> Sent:
    """Write a frame of the schema that is asked for; `beside`: its id is in a header."""
    document, found = _document(points, zone)
    payload = json.dumps(document).encode() if asked == JSON_ID else in_avro(AVRO, document)
    if beside:
        return Sent("confluent", payload, found, ((HEADER, frame(b"", asked)),))
    return Sent("confluent", frame(payload, asked), found)


# CloudEvents

IN_JSON = {"prometheus-json", "telegraf-json", "collectd-rates", "otlp-json", "json"}


def _event(of: Sent) -> dict[str, Any]:
    if of.format in IN_JSON:
        return {**ATTRIBUTES, "data": json.loads(of.value)}
    if of.format == "influx":
        return {**ATTRIBUTES, "datacontenttype": "text/plain", "data": of.value.decode()}
    return {**ATTRIBUTES, "data_base64": base64.b64encode(of.value).decode()}


def structured(of: Sent) -> Sent:
    return replace(of, value=json.dumps(_event(of)).encode(), headers=(*of.headers, *STRUCTURED))


def batch(parts: Sequence[Sent]) -> Sent:
    """Write one batch of what has no headers of its own; all of one format."""
    events = [_event(one) for one in parts]
    return Sent(parts[0].format, json.dumps(events).encode(), [row for one in parts for row in one.rows], BATCH)


def binary(of: Sent) -> Sent:
    return replace(of, headers=(*of.headers, *(one for one in BINARY if one[0] != "content-type")))


def bits(value: float) -> str:
    """Tell values apart by their bits: the mark of an end from other NaN, 0 from -0."""
    return "stale" if is_stale(value) else value.hex()
