"""Encode, then decode, is the identity: what producers of all formats wrote, mixed as it comes, is what stands on airra.samples.v1."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.base import LAST_MS
from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.kinds import MetricType
from schemas.samples import (
    BATCH_HEADER,
    TYPE_HEADER,
    BatchSource,
    SampleBatch,
    SeriesDef,
    decode_batches,
    decode_series,
    encode_batches,
    series_id,
)
from schemas.topics import DLQ, SAMPLES, SERIES
from streams.detect import stage
from streams.harness.stage import Output, Record
from streams.normalise.core import Core, Taken
from streams.normalise.fates import SampleFate
from streams.normalise.formats.catalogue import choice_of
from streams.normalise.formats.choice import FORMAT_HEADER
from streams.normalise.formats.staleness import STALE
from streams.normalise.raw import by_index
from streams.normalise.times import DAY_MS, NEWEST_MS, Reach
from tests.property.test_format_text import Point, measurements, numbers, words
from tests.property.test_format_text import fields as field_names
from tests.unit import format_encoders as encode
from tests.unit.confluent_schemas import GUID
from tests.unit.detect_feed import CONFIG
from tests.unit.format_encoders import HISTOGRAM, Row, Sent, bits

NOW = 1_795_489_200_000
PARTITIONS = 2
PLAIN, MAPPED, FRAMES = "metrics", "team.metrics", "team.frames"
CHOICE = choice_of(
    FormatsMapping.model_validate(
        {"topics": {MAPPED: {"format": "json", **encode.MAPPING}, FRAMES: {"format": "confluent", **encode.MAPPING}}}
    ),
    encode.SCHEMAS,
)
SERVICE_LABELS = ("service", "service_name", "instance")  # collectd has a host, and no service
RULES = MetricsMapping.model_validate(
    {
        "service_labels": SERVICE_LABELS,
        "metrics": [{"match": f"{HISTOGRAM}*", "kind": "latency", "type": "histogram"}, {"match": "*", "kind": "other"}],
    }
)
DETECT = stage(CONFIG)

# what producers write

times = st.integers((NOW - DAY_MS) * 1_000_000, (NOW + NEWEST_MS) * 1_000_000)
# what has a meaning in one of the formats, or tells it from others
odd = st.sampled_from(
    ["a", "b.c", "ünï.x", "a b", "a,b=c", 'q"{', "日本", "m[0]", "labels", "fields", "dstypes", "resourceMetrics", "x\\y"]
)
names = st.one_of(odd, words)
TAKEN = {"service", "service_name", "instance", "type", "__name__"}
tags = st.builds(
    lambda service, others: {**others, "service": service},
    st.sampled_from(["cart", "shop.ünï", "a b"]),
    st.dictionaries(names.filter(lambda name: name.replace(".", "_") not in TAKEN), names, max_size=2),
)
# no line of influx begins with one of these (formats/looks.py)
metrics = st.one_of(odd, measurements).filter(lambda name: name[0] not in '{["<' and name not in TAKEN)


def several(values: st.SearchStrategy[float], fields: int = 2, most: int = 2) -> st.SearchStrategy[list[Point]]:
    points = st.builds(Point, metrics, tags, st.dictionaries(st.one_of(odd, field_names), values, min_size=1, max_size=fields), times)
    return st.lists(points, min_size=1, max_size=most)


points, ended = several(numbers), several(st.one_of(numbers, st.just(STALE)))
single = several(numbers, fields=1, most=1).map(lambda found: found[0])
zones = st.sampled_from(["eu", "ü"])

histograms = st.builds(
    encode.otlp_histogram,
    single,
    st.lists(st.integers(0, 2**40), min_size=1, max_size=len(encode.BOUNDS) + 1),
    st.one_of(st.none(), st.floats(-1e300, 1e300)),
    stale=st.booleans(),
)
gauges = st.builds(encode.otlp, ended)
sums = st.builds(encode.otlp, ended, st.just(MetricType.COUNTER))
otlp = st.one_of(gauges, sums, histograms)

FORMATS: list[st.SearchStrategy[Sent]] = [
    st.builds(encode.adapter, single),
    st.builds(encode.influx, points),
    st.builds(encode.telegraf, points),
    st.builds(encode.collectd, points),
    gauges,
    sums,
    histograms,
    st.builds(encode.side_by_side, gauges, histograms, sums),
    st.builds(encode.in_json, otlp),
    st.builds(encode.remote_write, ended),
    st.builds(encode.remote_write_2, ended, st.sampled_from([0, encode.COUNTER_2, encode.GAUGE_2])),
]
mapped = st.builds(encode.mapped, points, zones)
framed = st.builds(encode.framed, points, zones, st.sampled_from([7, GUID, encode.JSON_ID]), beside=st.just(value=False))
beside = st.builds(encode.framed, points, zones, st.sampled_from([7, GUID, encode.JSON_ID]), beside=st.just(value=True))


def told(of: Sent) -> Sent:
    """Say in a header of what format a record is."""
    return dataclasses.replace(of, headers=(*of.headers, (FORMAT_HEADER, of.format.encode())))


def events(of: st.SearchStrategy[Sent]) -> st.SearchStrategy[Sent]:
    return st.one_of(of.map(encode.structured), of.map(encode.binary), st.lists(of, min_size=1, max_size=2).map(encode.batch))


@st.composite
def mixed(draw: st.DrawFn, kinds: Sequence[st.SearchStrategy[Sent]], least: int, most: int) -> list[Sent]:
    """Draw records of two of these kinds: what goes wrong between them is not seen among all."""
    two = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=2, max_size=2, unique=True))
    return [draw(kinds[one]) for one in draw(st.lists(st.sampled_from(two), min_size=least, max_size=most))]


bare = mixed(FORMATS, 2, 5)
plain = st.one_of(bare, bare, mixed([st.one_of(of, of.map(told), events(of)) for of in FORMATS], 2, 5))
documents = mixed([mapped, events(mapped)], 0, 2)
frames = mixed([framed, beside, events(framed)], 0, 2)


# what comes out


class Out(NamedTuple):
    """What a row says, with what its series means."""

    topic: str
    offset: int
    labels: frozenset[tuple[str, str]]
    at: int
    value: str


class Meaning(NamedTuple):
    id: int
    labels: frozenset[tuple[str, str]]
    service: str
    metric: str
    type: MetricType
    part: str
    le: float | None
    group: int
    source: str


def expected(topic: str, row: Row) -> Meaning:
    dotless = {name.replace(".", "_"): value for name, value in row.labels.items()}
    service = next(dotless[name] for name in SERVICE_LABELS if name in dotless)
    labels, name = row.labels, row.labels["__name__"]
    base = name.removesuffix(f"_{row.part}") if row.part else name
    group = {label: value for label, value in labels.items() if label != "le"} | {"__name__": base} if row.part else labels
    return Meaning(series_id(labels), frozenset(labels.items()), service, base, row.type, row.part, row.le, series_id(group), topic)


def meaning(of: SeriesDef) -> Meaning:
    return Meaning(of.id, frozenset(of.labels.items()), of.service, of.metric, of.type, of.part, of.le, of.group, of.source)


def offset(index: int) -> int:
    """Number records with gaps, as those that transactions leave."""
    return 100 + 3 * index


def take(core: Core, topic: str, records: Sequence[Sent]) -> Taken:
    def whole(index: int) -> Record:
        return Record(topic, 0, offset(index), NOW, None, records[index].value, records[index].headers)

    values, offsets = [one.value for one in records], [offset(index) for index in range(len(records))]
    return core.take_samples((topic, 0), values, offsets, [NOW] * len(values), whole, Reach(NOW), by_index(one.headers for one in records))


def read(outputs: Sequence[Output]) -> Iterator[Out]:
    """Yield the rows of records of samples as detect meets them: after what its partition was told of their series."""
    known: dict[tuple[int | None, int], frozenset[tuple[str, str]]] = {}
    for output in outputs:
        kind = dict(output.headers).get(TYPE_HEADER)
        if output.topic == SAMPLES.name and kind == b"series":
            known |= {(output.partition, one.id): frozenset(one.labels.items()) for one in decode_series(output.value)}
        if output.topic != SAMPLES.name or kind != b"samples":
            continue
        for source, batch in decode_batches(output.value, dict(output.headers)[BATCH_HEADER]).parts():
            offsets = batch.offset.tolist()
            assert offsets == sorted(offsets)
            assert (source.first, source.last) == (offsets[0], offsets[-1])
            for series, at, value, of in zip(batch.series.tolist(), batch.time.tolist(), batch.value.tolist(), offsets, strict=True):
                yield Out(source.topic, of, known[output.partition, series], at, bits(value))


def judge(outputs: Sequence[Output]) -> None:
    """Let detect take what its topic gets; Poison is raised for what it cannot read."""
    states = [DETECT.restore(None) for _ in range(PARTITIONS)]
    for number, output in enumerate(outputs):
        if output.topic == SAMPLES.name:
            partition = output.partition or 0
            DETECT.apply(states[partition], Record(SAMPLES.name, partition, number, NOW, output.key, output.value, output.headers), NOW)


AT = NOW * 1_000_000
READING = Point("m", {"service": "cart"}, {"v": 1.0}, AT)
LINE, BUCKETS = encode.influx([READING]), encode.otlp_histogram(READING, [1, 2], 2.0, stale=False)


@settings(max_examples=300, deadline=None)
@given(plain, documents, frames)
@example([LINE, BUCKETS, LINE], [], [])  # both record by record, the histogram in a turn before
def test_what_was_encoded_in_whatever_format_is_what_is_decoded(plain: list[Sent], documents: list[Sent], frames: list[Sent]) -> None:
    sent = {PLAIN: plain, MAPPED: documents, FRAMES: frames}
    core, taken = Core(RULES, PARTITIONS, 1, choice=CHOICE), Taken()
    for topic, records in sent.items():
        one = take(core, topic, records)
        assert [output for output in one.outputs if output.topic == DLQ.name] == []
        assert (one.accepted, one.unmapped, one.empty, one.refused) == (len(records), 0, 0, [])
        counts: Counter[tuple[str, SampleFate]] = Counter()
        for record in records:
            counts[record.format, SampleFate.ACCEPTED] += len(record.rows)
        assert one.samples == counts
        taken.add(one)

    outputs = taken.outputs
    written = [(topic, offset(index), row) for topic, records in sent.items() for index, one in enumerate(records) for row in one.rows]
    assert Counter(read(outputs)) == Counter(
        Out(topic, of, frozenset(row.labels.items()), row.at, bits(row.value)) for topic, of, row in written
    )
    definitions = {meaning(one) for output in outputs if output.topic == SERIES.name for one in decode_series(output.value)}
    assert definitions == {expected(topic, row) for topic, _, row in written}
    judge(outputs)


# AIRRA's own batches


@st.composite
def batches(draw: st.DrawFn, least: int) -> tuple[BatchSource, SampleBatch]:
    whole = st.integers(0, 2**64 - 1)
    found = draw(st.lists(st.tuples(whole, st.integers(0, LAST_MS), whole, st.integers(0, 2**63 - 1)), min_size=least, max_size=4))
    series, times, values, offsets = (list(column) for column in zip(*found, strict=True)) if found else ([], [], [], [])
    first, last = (min(offsets), max(offsets)) if offsets else (0, 0)
    source = BatchSource(draw(st.text(st.characters(exclude_categories=["Cs"]))), draw(st.integers(0, 2**31 - 1)), first, last)
    return source, SampleBatch(
        np.array(series, np.uint64), np.array(times, np.int64), np.array(values, np.uint64).view(np.float64), np.array(offsets, np.int64)
    )


def columns(batch: SampleBatch) -> list[bytes]:
    return [column.tobytes() for column in (batch.series, batch.time, batch.value, batch.offset)]


@given(st.one_of(st.lists(batches(0), min_size=1, max_size=1), st.lists(batches(1), min_size=2, max_size=4)))
def test_batches_that_were_encoded_are_decoded_as_they_were(sent: list[tuple[BatchSource, SampleBatch]]) -> None:
    found = list(decode_batches(*encode_batches(sent)).parts())

    assert [replace(source, rows=0) for source, _ in found] == [source for source, _ in sent]
    assert [columns(batch) for _, batch in found] == [columns(batch) for _, batch in sent]
