"""OTLP as OpenTelemetry's SDKs of Python (protobuf) and JavaScript (JSON) sent it is what they handed to their exporters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from schemas.kinds import MetricType
from streams.normalise.by_batch import ByBatch
from streams.normalise.formats.catalogue import choice_of
from streams.normalise.raw import Found, Raw, by_index
from tests.golden.messages import messages, says
from tests.unit.golden_reading import Labels, Seen, bare, by_stage, choose, labelled, read

FORMATS = {"otel-python": "otlp", "otel-node": "otlp-json"}
TEMPORALITIES = ("cumulative", "delta")
EXPORTS = 3  # two that were asked for, one at the end
RESOURCE = {"service.name": "cart", "service.instance.id": "cart-1", "host.name": "host-a"}
SCOPE = {"otel_scope_name": "shop", "otel_scope_version": "1.2.3"}
NEVER_DELTA = {"shop.carts.open", "shop.queue.depth"}  # what goes up and down is sent as it stands
recorded = pytest.mark.parametrize(("producer", "temporality"), [(one, kind) for one in FORMATS for kind in TEMPORALITIES])


@dataclass(frozen=True, slots=True)
class Point:
    """A data point as an SDK has it."""

    name: str
    unit: str
    attributes: dict[str, Any]
    at: int
    value: float = 0.0  # of a number
    count: int | None = None  # of a histogram, and so on
    sum: float = 0.0
    bounds: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    @property
    def labels(self) -> Labels:
        attributes = {name: str(value) for name, value in self.attributes.items()}
        return labelled(**RESOURCE, **SCOPE, **attributes)


def of_python(text: str) -> Iterator[Point]:
    for export in json.loads(text):
        for metric in export["resource_metrics"][0]["scope_metrics"][0]["metrics"]:
            for point in metric["data"]["data_points"]:
                place = metric["name"], metric["unit"], point["attributes"], point["time_unix_nano"] // 1_000_000
                if "value" in point:
                    yield Point(*place, value=point["value"])
                elif "scale" in point:
                    positive = point["positive"]
                    yield exponential(place, point, point["zero_count"], positive["offset"], positive["bucket_counts"])
                else:
                    yield Point(*place, 0, point["count"], point["sum"], point["explicit_bounds"], point["bucket_counts"])


def of_node(text: str) -> Iterator[Point]:
    for export in json.loads(text):
        for metric in export:
            for point in metric["dataPoints"]:
                seconds, nanoseconds = point["endTime"]
                place = metric["name"], metric["unit"], point["attributes"], seconds * 1000 + nanoseconds // 1_000_000
                value = point["value"]
                if not isinstance(value, dict):
                    yield Point(*place, value=value)
                elif "scale" in value:
                    yield exponential(place, value, value["zeroCount"], value["positive"]["offset"], value["positive"]["bucketCounts"])
                else:
                    buckets = value["buckets"]
                    yield Point(*place, 0, value["count"], value["sum"], buckets["boundaries"], buckets["counts"])


def exponential(place: tuple[str, str, dict[str, Any], int], point: dict[str, Any], zeros: int, offset: int, counts: list[int]) -> Point:
    """Return a point whose first bucket is the zero bucket; the bucket of index i ends at 2 ** ((i + 1) / 2 ** scale)."""
    bounds = [0.0, *(2 ** ((offset + index + 1) / 2 ** point["scale"]) for index in range(len(counts)))]
    return Point(*place, 0, point["count"], point["sum"], bounds, [zeros, *counts])


@cache
def said(producer: str, temporality: str) -> list[Point]:
    told = says(producer, f"{temporality}.json")
    return list(of_python(told) if producer == "otel-python" else of_node(told))


@cache
def seen(producer: str, temporality: str) -> list[Seen]:
    return read(messages(producer, temporality))[1]


def without(labels: Labels, *names: str) -> Labels:
    return frozenset(pair for pair in labels if pair[0] not in names)


def at_place(found: Iterable[Seen], point: Point, suffix: str = "") -> list[Seen]:
    wanted = point.name + suffix, point.labels, point.at
    return [one for one in found if (one.name, without(one.labels, "__name__", "le"), one.at) == wanted]


@recorded
def test_every_request_is_told_by_its_headers_and_without_them(producer: str, temporality: str) -> None:
    sent = messages(producer, temporality)

    assert len(sent) == EXPORTS
    assert read(sent)[0] == read(bare(sent))[0] == {FORMATS[producer]: EXPORTS}


@recorded
def test_counters_and_gauges_are_as_the_sdk_has_them(producer: str, temporality: str) -> None:
    points = [one for one in said(producer, temporality) if one.count is None]

    for point in points:
        (found,) = at_place(seen(producer, temporality), point)
        assert (found.value, found.unit) == (point.value, point.unit)
        counter = point.name == "shop.orders"
        assert found.type is (MetricType.COUNTER if counter else MetricType.GAUGE)
        assert found.delta == (temporality == "delta" and point.name not in NEVER_DELTA)
    assert {one.name for one in points} == {"shop.orders", "shop.carts.open", "shop.queue.depth"}


@recorded
def test_histograms_have_the_counts_of_the_sdk_at_each_bound(producer: str, temporality: str) -> None:
    points = [one for one in said(producer, temporality) if one.count is not None]

    for point in points:
        found = seen(producer, temporality)
        (count,), (total,) = at_place(found, point, "_count"), at_place(found, point, "_sum")
        assert (count.value, total.value, count.unit) == (point.count, point.sum, "s")
        buckets = at_place(found, point, "_bucket")
        assert {one.delta for one in (count, total, *buckets)} == {temporality == "delta"}
        assert {one.type for one in (count, total, *buckets)} == {MetricType.HISTOGRAM}
        assert len({one.of("le") for one in buckets}) == len(buckets) > 2
        for one in buckets:
            below = [held for bound, held in zip(point.bounds, point.counts, strict=False) if bound <= float(one.of("le")) * (1 + 1e-12)]
            assert one.value == (point.count if one.of("le") == "+Inf" else sum(below)), one
    assert {one.name for one in points} == {"http.server.request.duration", "shop.payment.duration"}


@recorded
def test_nothing_else_is_read(producer: str, temporality: str) -> None:
    parts = Counter(one.name.removesuffix("_count") for one in seen(producer, temporality) if not one.name.endswith(("_sum", "_bucket")))

    assert parts == Counter(one.name for one in said(producer, temporality))


@pytest.mark.parametrize("temporality", TEMPORALITIES)
def test_the_batch_reads_what_the_reader_of_single_records_reads(temporality: str) -> None:
    sent = messages("otel-python", temporality)
    found, core = by_stage(sent)
    single = [(index, one) for index, message in enumerate(sent) for one in read([message])[1]]
    raw = Raw("metrics", [one.value for one in sent], [one.stamp for one in sent], by_index(one.headers for one in sent))

    batched = ByBatch(core.cache, choice_of(choose()), lambda *_: b"\x00x\x00").read(raw, range(len(sent)), Found())

    assert not batched.left  # no record of the SDK is read by itself; its histograms are read beside the columns
    assert found.refusals.count == {}
    assert set(found.formats.values()) == {"otlp"}
    rows = zip(found.rows.record.tolist(), found.rows.part.tolist(), found.rows.time.tolist(), found.rows.value.tolist(), strict=True)
    parts: Counter[int] = Counter()
    expected = []
    for index, one in single:
        expected.append((index, parts[index], one.at, one.value))
        parts[index] += 1
    assert sorted(rows) == expected
    assert len(set(found.rows.slot.tolist())) == len({(one.labels, one.unit) for _, one in single})
