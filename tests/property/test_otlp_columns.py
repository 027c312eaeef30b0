"""OTLP by the batch gives what reading it metric by metric gives, whatever is in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric

from streams.normalise import by_batch
from streams.normalise.columnar import Slots
from streams.normalise.core import Core
from streams.normalise.formats import otlp_kernel as kernel
from streams.normalise.formats import otlp_layout as layout
from streams.normalise.formats.otlp import Otlp
from streams.normalise.formats.otlp_keys import Kind
from streams.normalise.otlp_columns import OtlpColumns
from tests.unit.otlp_messages import export, gauge, point, resource
from tests.unit.test_normalise_columnar import take, told
from tests.unit.test_normalise_formats import MAPPING, NOW

TOLD = (("airra.format", b"otlp"),)
NANOS = NOW * 1_000_000

labels = st.dictionaries(
    st.sampled_from(["a", "b", "service", "n", ""]),
    st.one_of(st.sampled_from(["x", "y", ""]), st.integers(0, 3), st.booleans()),
    max_size=3,
)
names = st.sampled_from(["temperature", "up", "nobody_knows", "a_total", "", "x" * 600])
times = st.one_of(st.integers(NANOS - 10**9, NANOS + 10**9), st.sampled_from([0, 1, 2**64 - 1, 10**15]))
numbers = st.one_of(st.floats(width=64), st.integers(-(2**63), 2**63 - 1), st.none(), st.just(math.nan))
points = st.builds(
    lambda value, own, at, flags: point(value, own, time_unix_nano=at, flags=flags),
    numbers,
    labels,
    times,
    st.sampled_from([0, 0, 0, 1, 2]),
)
gauges = st.builds(
    lambda name, found, unit: gauge(name, *found, unit=unit), names, st.lists(points, max_size=4), st.sampled_from(["", "s"])
)
sums = st.builds(
    lambda name, found, temporality, monotonic: Metric(
        name=name, sum={"data_points": found, "aggregation_temporality": temporality, "is_monotonic": monotonic}
    ),
    names,
    st.lists(points, max_size=4),
    st.sampled_from([0, 1, 2, 2, 2, 7]),
    st.booleans(),
)
histograms = st.builds(
    lambda name, at, temporality: Metric(
        name=name,
        histogram={
            "aggregation_temporality": temporality,
            "data_points": [HistogramDataPoint(time_unix_nano=at, count=3, sum=1.0, bucket_counts=[1, 2], explicit_bounds=[0.5])],
        },
    ),
    names,
    times,
    st.sampled_from([0, 2]),
)
nothing = st.builds(lambda name: Metric(name=name), names)
metrics = st.lists(st.one_of(gauges, gauges, sums, sums, histograms, nothing), max_size=4)
scopes = st.dictionaries(st.sampled_from(["name", "version", "k"]), st.sampled_from(["x", ""]), max_size=2)
resources = st.builds(
    lambda found, own, scope: resource(*found, labels={"service.name": "cart", **own}, scope=scope), metrics, labels, scopes
)
messages = st.lists(resources, max_size=2).map(lambda found: export(*found))
broken = st.builds(
    lambda message, at, put: message[: at % (len(message) + 1)] + put + message[at % (len(message) + 1) + len(put) :],
    messages,
    st.integers(0, 500),
    st.binary(max_size=2),
)
# Protobuf lets a message come in pieces, and fields in any order: a second resource, one behind what it has.
in_pieces = st.builds(
    lambda first, second: ExportMetricsServiceRequest.FromString(first).resource_metrics[:1] and first + second, messages, messages
).map(lambda found: found or b"")
records = st.lists(st.one_of(messages, messages, broken, in_pieces), max_size=4)


@settings(max_examples=60)
@given(records, st.sampled_from([2, 400_000]), st.sampled_from([NOW, 0]))
def test_the_batch_reads_what_the_reference_reads(values: list[bytes], capacity: int, stamp: int) -> None:
    def whole() -> list[dict[str, Any]]:
        core = Core(MAPPING, 2, 1, capacity)
        return [told(take(core, part, TOLD, stamp=stamp)) for part in (values, values)]

    fast = whole()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_batch, "FORMATS", {})
        slow = whole()
    if capacity == 2:  # what is forgotten at another moment is told again at another moment
        for one in (*fast, *slow):
            one["series"] = None
    assert fast == slow


def test_what_agents_write_is_read_by_the_batch() -> None:
    mixed = [
        gauge("temperature", point(1.0, {"a": "x"}), point(2, {"a": "y"})),
        Metric(name="up", sum={"data_points": [point(1.0)], "aggregation_temporality": 2}),
    ]
    found = kernel.walk([export(resource(*mixed, labels={"service.name": "cart"}, scope={"name": "lib", "version": "1"}))])
    assert found.left.tolist() == [False]
    assert found.heads[layout.KIND].tolist() == [Kind.GAUGE, Kind.UP_DOWN]
    assert found.heads[layout.POINTS].tolist() == [2, 1]
    assert found.value.tolist() == [1.0, 2.0, 1.0]


def test_a_histogram_is_read_beside_and_its_neighbours_are_not() -> None:
    histogram = Metric(
        name="h",
        histogram={"aggregation_temporality": 2, "data_points": [HistogramDataPoint(time_unix_nano=NANOS, count=1, bucket_counts=[1])]},
    )
    body = export(resource(gauge("temperature", point(1.0)), histogram, gauge("up", point(2.0)), labels={"service.name": "cart"}))
    core = Core(MAPPING, 1, 1)
    batch = OtlpColumns(Slots(core.cache, Otlp().describe)).read(b"\x00x\x00", [4], [body])
    assert (batch.rows.record.tolist(), batch.rows.value.tolist()) == ([4, 4], [1.0, 2.0])
    ((record, first, items),) = batch.beside
    assert (record, first) == (4, 1)
    assert batch.rows.part.tolist() == [0, 1 + len(items)]


def test_tables_that_are_full_begin_anew() -> None:
    core = Core(MAPPING, 1, 1)
    columns = OtlpColumns(Slots(core.cache, Otlp().describe, capacity=3), capacity=3)
    for step in range(12):
        body = export(resource(gauge(f"temperature{step % 5}", point(1.0, {"n": step % 7})), labels={"service.name": f"s{step}"}))
        batch = columns.read(b"\x00x\x00", [0], [body])
        assert core.cache.meaning(int(batch.rows.slot[0])).service == f"s{step}"
