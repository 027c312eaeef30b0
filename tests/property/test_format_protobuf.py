"""Whatever bytes arrive, the protobuf formats raise Rejected and nothing else, and read what other readers of protobuf read."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from google.protobuf.message import DecodeError
from hypothesis import given, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    Summary,
    SummaryDataPoint,
)

from streams.normalise.fates import Rejected, Rejection
from streams.normalise.formats.buckets import MAX_BOUNDS, Exponential, bound_of, exponential
from streams.normalise.formats.otlp import Otlp
from streams.normalise.formats.otlp_json import OtlpJson
from streams.normalise.formats.port import Format, Sample
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2, unpack
from streams.normalise.formats.wire import fields
from tests.unit.otlp_messages import CUMULATIVE, DELTA, as_json, export, point, resource
from tests.unit.prometheus_messages import V1, V2, pack, request, request_2, series
from tests.unit.remote_write_agreement import agrees

FORMATS: list[Format] = [RemoteWrite(), RemoteWrite2(), Otlp(), OtlpJson()]

names = st.sampled_from(["__name__", "job", "le", "quantile", "a", "", "ü"])
labels = st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=4)
numbers = st.floats()
times = st.integers(-(2**63), 2**63 - 1)
counts = st.lists(st.integers(0, 5), max_size=6)
spans = st.lists(st.builds(lambda offset, length: {"offset": offset, "length": length}, st.integers(-3, 9), st.integers(0, 3)), max_size=3)
histograms = st.builds(
    lambda schema, count, spans, deltas, total, zero, custom: {
        "schema": schema,
        "count_int": count,
        "positive_spans": spans,
        "positive_deltas": deltas,
        "negative_spans": spans,
        "negative_deltas": deltas,
        "sum": total,
        "zero_count_int": zero,
        "custom_values": custom,
    },
    st.sampled_from([-53, -4, 0, 1, 8, 9]),
    st.integers(0, 2**64 - 1),
    spans,
    st.lists(st.integers(-2, 3), max_size=5),
    numbers,
    st.integers(0, 9),
    st.lists(numbers, max_size=4),
)
float_series = st.builds(lambda found, samples: series(found, *samples), labels, st.lists(st.tuples(times, numbers), max_size=3))
any_series = st.builds(
    lambda found, samples, more: series(found, *samples, histograms=tuple(V1["Histogram"](**one) for one in more)),
    labels,
    st.lists(st.tuples(times, numbers), max_size=3),
    st.lists(histograms, max_size=2),
)
requests = st.lists(any_series, max_size=4).map(lambda found: request(*found))
requests_2 = st.builds(
    lambda refs, samples, more, kind, unit: request_2(
        ["", "__name__", "up", "job", "seconds"],
        V2["TimeSeries"](labels_refs=refs, samples=samples, histograms=more, metadata={"type": kind, "unit_ref": unit}),
    ),
    st.lists(st.integers(0, 6), max_size=6),
    st.lists(st.builds(lambda at, value: {"timestamp": at, "value": value}, times, numbers), max_size=2),
    st.lists(histograms, max_size=2),
    st.integers(0, 9),
    st.integers(0, 6),
)
points = st.builds(
    lambda value, found, at, flags: point(value, found, time_unix_nano=at, flags=flags),
    numbers,
    labels,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2),
)
temporalities = st.sampled_from([0, DELTA, CUMULATIVE])
metrics = st.one_of(
    st.builds(lambda found: Metric(name="g", unit="s", gauge={"data_points": found}), st.lists(points, max_size=3)),
    st.builds(
        lambda found, kind: Metric(name="s", sum={"data_points": found, "aggregation_temporality": kind}),
        st.lists(points, max_size=3),
        temporalities,
    ),
    st.builds(
        lambda count, buckets, bounds, kind: Metric(
            name="h",
            histogram=Histogram(
                data_points=[HistogramDataPoint(count=count, bucket_counts=buckets, explicit_bounds=bounds)], aggregation_temporality=kind
            ),
        ),
        st.integers(0, 30),
        counts,
        st.lists(numbers, max_size=6),
        temporalities,
    ),
    st.builds(
        lambda count, scale, offset, buckets, threshold: Metric(
            name="e",
            exponential_histogram=ExponentialHistogram(
                data_points=[
                    ExponentialHistogramDataPoint(
                        count=count,
                        scale=scale,
                        zero_threshold=threshold,
                        positive={"offset": offset, "bucket_counts": buckets},
                        negative={"offset": -offset - 1, "bucket_counts": buckets},
                    )
                ],
                aggregation_temporality=DELTA,
            ),
        ),
        st.integers(0, 80),
        st.integers(-12, 22),
        st.integers(-(2**31), 2**31 - 1),
        counts,
        numbers,
    ),
    st.builds(
        lambda values: Metric(name="q", summary=Summary(data_points=[SummaryDataPoint(quantile_values=values)])),
        st.lists(st.builds(lambda quantile, value: {"quantile": quantile, "value": value}, numbers, numbers), max_size=3),
    ),
)
exports = st.builds(
    lambda found, own, scope: export(resource(*found, labels=own, scope=scope)), st.lists(metrics, max_size=4), labels, labels
)
sound = st.one_of(requests, requests_2, exports, exports.map(as_json))


@st.composite
def mutated(draw: Callable[[Any], Any], records: st.SearchStrategy[bytes]) -> bytes:
    """Change, cut out or insert a few bytes of a record."""
    record = bytearray(draw(records))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(record)))
        record[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(record)


raw = st.one_of(st.binary(max_size=60), sound, mutated(sound))


@settings(max_examples=300, deadline=None)
@given(raw)
def test_read_and_describe_raise_rejected_and_nothing_else(record: bytes) -> None:
    for found in FORMATS:
        try:
            items = list(found.read(record))
        except Rejected:
            continue
        for item in items:
            if isinstance(item, Rejection):
                assert item.detail
                continue
            assert isinstance(item.value, float)
            assert item.at is None or -(2**63) <= item.at < 2**63
            try:
                described = found.describe(item.key)
            except Rejected:
                continue
            assert described.labels["__name__"]
            assert all(described.labels.values())


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), mutated(requests.map(pack))))
def test_unpack_and_describe_raise_rejected_and_nothing_else_for_any_bytes(body: bytes) -> None:
    for function in (unpack, *[found.describe for found in FORMATS]):
        try:
            function(body)
        except Rejected:
            continue


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.lists(float_series, max_size=4).map(lambda found: request(*found)), requests, mutated(requests)
        ),
        max_size=4,
    )
)
def test_the_kernel_agrees_with_the_reference_on_any_bytes(records: list[bytes]) -> None:
    agrees(*records)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(float_series, max_size=4).map(lambda found: request(*found)), max_size=3))
def test_the_kernel_leaves_no_sound_record_of_floats(records: list[bytes]) -> None:
    assert not any(agrees(*records))


@settings(max_examples=200, deadline=None)
@given(st.one_of(mutated(requests), requests))
def test_series_that_protobufs_own_reader_can_read_are_read_alike(record: bytes) -> None:
    try:
        theirs = V1["WriteRequest"].FromString(record)
    except DecodeError:
        return
    expected = [(sample.timestamp, struct.pack("<d", sample.value)) for found in theirs.timeseries for sample in found.samples]
    try:
        items = RemoteWrite().read(record)
    except Rejected as refused:
        assert "wire type" in refused.rejection.detail or "no field" in refused.rejection.detail  # groups  # noqa: PT017
        return
    if any(isinstance(item, Rejection) for item in items) or any(found.histograms for found in theirs.timeseries):
        return
    assert [(item.at, struct.pack("<d", item.value)) for item in items if isinstance(item, Sample)] == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_fields_tile_their_message(data: bytes) -> None:
    at = 0
    try:
        for _, begin, start, end, value in fields(data):
            assert begin == at < start <= end <= len(data)
            assert 0 <= value < 2**64
            at = end
        assert at == len(data)
    except Rejected:
        assert at < len(data)


indices = st.dictionaries(st.integers(-2000, 2000), st.integers(1, 9), max_size=12)  # of schema 1: bounds that are floats, and not 0


@settings(max_examples=300, deadline=None)
@given(st.integers(-4, 1), indices, indices, st.integers(0, 3))
def test_classic_buckets_rise_fit_and_count_what_lies_at_or_below_their_bound(
    schema: int, positive: dict[int, int], negative: dict[int, int], zeros: int
) -> None:
    positive, negative = ({index >> (1 - schema): number for index, number in side.items()} for side in (positive, negative))
    count = sum(positive.values()) + sum(negative.values()) + zeros
    buckets = exponential(Exponential(schema, positive, negative, 0.0, zeros), count)

    bounds = [float(bucket.le) for bucket in buckets]
    assert bounds == sorted(set(bounds))
    assert len(buckets) <= MAX_BOUNDS + 1
    assert (bounds[-1], buckets[-1].total) == (math.inf, count)
    for bound, bucket in zip(bounds[:-1], buckets, strict=False):
        below = sum(number for index, number in positive.items() if bound_of(index, schema) <= bound)
        below += sum(number for index, number in negative.items() if -bound_of(index - 1, schema) <= bound)
        assert bucket.total == below + (zeros if bound >= 0 else 0)
