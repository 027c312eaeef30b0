"""What a producer encodes is what is read, whatever the names; and no bytes at all raise anything but Rejected."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from streams.normalise.fates import Rejected, Rejection
from streams.normalise.formats.collectd_json import CollectdJson, CollectdRates
from streams.normalise.formats.influx_line import InfluxLine
from streams.normalise.formats.port import Format, Sample
from streams.normalise.formats.telegraf_json import TelegrafJson
from streams.normalise.formats.telegraf_names import metric_name

INFLUX, TELEGRAF, COLLECTD, RATES = InfluxLine(), TelegrafJson(), CollectdJson(), CollectdRates()
FORMATS: list[Format] = [INFLUX, TELEGRAF, COLLECTD, RATES]

# what has a meaning somewhere, beside all other printable text; line protocol cannot end a name with a backslash
words = st.text(
    st.one_of(st.sampled_from(list("ab,= \\\"'#{}[]:_")), st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=6
).filter(lambda word: not word.endswith("\\"))
fields = st.one_of(words, st.sampled_from(["value", "gauge", "counter"]))
measurements = st.one_of(words, st.just("prometheus")).filter(lambda word: not word.startswith("#"))
tags = st.dictionaries(words.filter(lambda word: word != "__name__"), words, max_size=3)
doubles = st.floats(allow_nan=False, allow_infinity=False)
wholes = st.integers(-(2**63), 2**63 - 1)
numbers = st.one_of(doubles, wholes, st.booleans())
ignored = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.none())


class Point(NamedTuple):
    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    nanoseconds: int

    def expected(self) -> list[tuple[dict[str, str], float]]:
        return [
            ({"__name__": metric_name(self.measurement, field), **self.tags}, float(value))
            for field, value in self.fields.items()
            if isinstance(value, int | float)
        ]


points = st.builds(
    Point,
    measurements,
    tags,
    st.dictionaries(fields, st.one_of(numbers, ignored), min_size=1, max_size=3),
    st.integers(-(2**63), 2**63 - 1),
)


def line(point: Point) -> bytes:
    def word(text: str) -> str:
        return re.sub("([,= ])", r"\\\1", text)

    def value(one: Any) -> str:
        if isinstance(one, bool):
            return str(one).lower()
        if isinstance(one, int):
            return f"{one}i"
        if isinstance(one, float):
            return repr(one)
        return '"' + re.sub(r'(["\\])', r"\\\1", str(one)).replace("\n", "\\n") + '"'

    head = re.sub("([, ])", r"\\\1", point.measurement) + "".join(f",{word(name)}={word(text)}" for name, text in point.tags.items())
    return f"{head} {','.join(f'{word(name)}={value(one)}' for name, one in point.fields.items())} {point.nanoseconds}".encode()


def metric(point: Point) -> dict[str, Any]:
    return {"fields": point.fields, "name": point.measurement, "tags": point.tags, "timestamp": 1_458_229_140}


def value_list(names: list[str], values: list[int | None], dstype: str = "derive") -> dict[str, Any]:
    host, plugin, plugin_instance, type_, type_instance = names
    return {
        "values": values,
        "dstypes": [dstype] * len(values),
        "dsnames": [f"ds{index}" for index in range(len(values))],
        "time": 1_280_959_128.25,
        "interval": 10.0,
        "host": host,
        "plugin": plugin,
        "plugin_instance": plugin_instance,
        "type": type_,
        "type_instance": type_instance,
    }


def read(form: Format, record: bytes) -> list[tuple[dict[str, str], float]]:
    return [(form.describe(one.key).labels, one.value) for one in form.read(record) if isinstance(one, Sample)]


@given(st.lists(points, min_size=1, max_size=3), st.sampled_from([b"\n", b"\r\n", b"\n# , =\n\n"]))
def test_points_that_were_encoded_as_lines_are_read_as_they_were(written: list[Point], end: bytes) -> None:
    record = end.join(map(line, written))

    assert read(INFLUX, record) == [one for point in written for one in point.expected()]
    times = [point.nanoseconds // 1_000_000 for point in written for _ in point.expected()]
    assert [one.at for one in INFLUX.read(record) if isinstance(one, Sample)] == times


@given(st.lists(points, max_size=3), st.booleans())
def test_metrics_that_were_encoded_as_json_are_read_as_they_were(written: list[Point], ascii_only: bool) -> None:
    record = json.dumps({"metrics": [metric(point) for point in written]}, ensure_ascii=ascii_only).encode()

    assert read(TELEGRAF, record) == [one for point in written for one in point.expected()]
    assert read(TELEGRAF, record) == [one for point in written for one in read(TELEGRAF, json.dumps(metric(point)).encode())]


names = st.tuples(words, words, st.one_of(words, st.just("")), words, st.one_of(words, st.just(""))).map(list)


@given(st.lists(st.tuples(names, st.lists(st.one_of(wholes, st.none()), max_size=3)), max_size=3))
def test_value_lists_are_read_in_their_order_and_without_nulls(written: list[tuple[list[str], list[int | None]]]) -> None:
    record = json.dumps([value_list(*one) for one in written]).encode()

    assert [one.value for one in COLLECTD.read(record) if isinstance(one, Sample)] == [
        float(value) for _, values in written for value in values if value is not None
    ]


@given(names.filter(lambda found: found[1] not in {"type", "instance", "__name__"}), st.sampled_from(["gauge", "derive"]))
def test_instances_of_collectd_are_labels_as_they_were(found: list[str], dstype: str) -> None:
    host, plugin, plugin_instance, type_, type_instance = found
    ((labels, _),) = read(COLLECTD, json.dumps([value_list(found, [1], dstype)]).encode())

    assert labels.pop("instance") == host
    parts = ["collectd", *([plugin] if plugin != type_ else []), type_, "ds0", *(["total"] if dstype == "derive" else [])]
    assert labels.pop("__name__") == "_".join(parts)
    instances = [one for one in (plugin_instance, type_instance) if one]
    assert labels == dict(zip([plugin, "type"], instances, strict=False))


few = st.text(st.sampled_from('a,= \\"'), min_size=1, max_size=3).filter(lambda word: not word.endswith("\\"))  # few: often equal
small = st.builds(Point, few, st.dictionaries(few, few, max_size=1), st.dictionaries(few, st.just(1), min_size=1, max_size=1), st.just(0))


@pytest.mark.parametrize(
    ("form", "encode"), [(INFLUX, line), (TELEGRAF, lambda point: json.dumps(metric(point)).encode())], ids=["influx", "telegraf"]
)
@settings(max_examples=150)
@given(one=small, other=small)
def test_keys_are_equal_where_what_was_written_is_equal(form: Format, encode: Callable[[Point], bytes], one: Point, other: Point) -> None:
    (left,), (right,) = form.read(encode(one)), form.read(encode(other))

    assert isinstance(left, Sample)
    assert isinstance(right, Sample)
    assert (left.key == right.key) == (one == other)


@given(st.tuples(few, few, few, few, few).map(list), st.tuples(few, few, few, few, few).map(list))
def test_keys_of_collectd_are_equal_where_all_names_are(one: list[str], other: list[str]) -> None:
    (left,), (right,) = (COLLECTD.read(json.dumps([value_list(found, [1])]).encode()) for found in (one, other))

    assert isinstance(left, Sample)
    assert isinstance(right, Sample)
    assert (left.key == right.key) == (one == other)


sound = st.one_of(
    points.map(line),
    points.map(lambda point: json.dumps(metric(point)).encode()),
    st.lists(points, max_size=2).map(lambda found: json.dumps({"metrics": list(map(metric, found))}).encode()),
    st.tuples(names, st.lists(st.one_of(wholes, st.none()), max_size=3)).map(lambda found: json.dumps([value_list(*found)]).encode()),
)
pieces = st.one_of(
    st.binary(max_size=2), st.sampled_from([b"\\", b'"', b"\0", b"\n", b"\xff", b"1e999", b"9" * 400, b"NaN", b"null", b"[", b"\\ud800"])
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    record = draw(sound)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(record)))
        record = record[:begin] + draw(pieces) + record[begin + draw(st.integers(0, 3)) :]
    return record


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@settings(max_examples=150)
@given(record=st.one_of(st.binary(max_size=60), mutated()))
def test_no_record_raises_anything_but_rejected_and_its_samples_fit_their_columns(form: Format, record: bytes) -> None:
    try:
        found = list(form.read(record))
    except Rejected:
        return
    for one in found:
        if isinstance(one, Rejection):
            continue
        assert isinstance(one.value, float)
        assert one.at is None or -(2**63) <= one.at < 2**63
        assert not math.isnan(one.value) or form is INFLUX
        try:
            labels = form.describe(one.key).labels
        except Rejected:
            continue
        assert labels["__name__"]
        assert all(labels)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@settings(max_examples=150)
@given(
    key=st.one_of(st.binary(max_size=40), mutated(), st.lists(st.one_of(words, tags), max_size=8).map(lambda one: json.dumps(one).encode()))
)
def test_no_key_raises_anything_but_rejected(form: Format, key: bytes) -> None:
    try:
        form.describe(key)
    except Rejected:
        return
