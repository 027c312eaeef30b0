"""Envelopes and mapped documents, whatever the bytes: nothing but Rejected is raised, reasons are short, memory changes no outcome."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.config.formats import Mapping
from schemas.config.paths import parse_path
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.choice import Candidate, Choice, Read
from streams.normalise.formats.cloudevents import Inner, is_event, unwrap
from streams.normalise.formats.confluent import whole_frame
from streams.normalise.formats.mapped_json import MappedJson
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.registry import Schema, SchemaType
from streams.normalise.numerals import parse_number
from tests.unit.confluent_schemas import GUID, PROTOBUF, READING_TEXT, avro, confluent, frame, in_avro, indexes, message, record

SHORT = 2_000  # characters of a reason

names = st.sampled_from(["items", "v", "m", "t", "a", "b"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "nan", "2025-11-28T03:00:00Z", "-7e3"])
)
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12)
MAPPING = {
    "format": "json",
    "each": "$.items[*]",
    "metrics": [{"name": "$.m", "value": "$.v", "unit": "$.a"}, {"name": "up", "value": "$.a[0]"}],
    "timestamp": "$.t",
    "labels": {"x": "$.a", "y": "$$.b", "z": "const"},
}
MAPPED = MappedJson(Mapping(**MAPPING))

EVENT = json.dumps(
    {"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "time": "2018-04-05T17:31:00Z", "data": {"v": 1}}
).encode()
CONTENT_TYPES = [
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json",
    b"application/cloudevents+avro",
    b"text/plain",
    b"\xff",
]
header_names = st.sampled_from(["content-type", "ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "__value_schema_id", "x"])
headers = st.lists(
    st.tuples(header_names, st.sampled_from([*CONTENT_TYPES, b"1.0", b"2018-04-05T17:31:00Z"]) | st.binary(max_size=20)), max_size=8
).map(tuple)

MIXED = record(
    ("service", "string"),
    ("value", ["null", "double", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]),
    ("at", {"type": "long", "logicalType": "timestamp-micros"}),
    ("day", {"type": "int", "logicalType": "date"}),
    ("clock", {"type": "long", "logicalType": "time-micros"}),
    ("id", {"type": "string", "logicalType": "uuid"}),
    ("tags", {"type": "map", "values": {"type": "array", "items": ["null", "int", {"type": "enum", "name": "E", "symbols": ["A"]}]}}),
    ("hash", {"type": "fixed", "name": "F", "size": 2}),
)
READER = confluent({1: avro(MIXED), 2: PROTOBUF, 3: Schema(SchemaType.JSON, "{}"), GUID: avro({"type": "array", "items": "int"})})
AVRO_VALUE = {
    "service": "a",
    "value": 0.5,
    "at": 0,
    "day": 0,
    "clock": 0,
    "id": "00000000-0000-0000-0000-000000000001",
    "tags": {"k": [1, None, "A"]},
    "hash": b"ab",
}
FRAMES = [
    frame(in_avro(MIXED, AVRO_VALUE), 1),
    frame(
        message("Reading", service="a", parts=[{"value": 1.0, "time": {"seconds": 5}}], point={"x": 1.0}).SerializeToString(), 2, indexes(1)
    ),
    frame(b'{"value": 1}', 3),
    frame(b"\x04\x02\x04\x00", GUID),
]


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Change, drop and add some bytes of a valid record."""
    value = bytearray(draw(valid))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(value)


def short(rejection: Rejection) -> None:
    assert len(rejection.detail) < SHORT


@contextmanager
def rejected_at_most() -> Iterator[None]:
    """Let a Rejected pass whose reason is short, and nothing else."""
    try:
        yield
    except Rejected as refused:
        short(refused.rejection)


def check(found: Iterable[Sample | Rejection]) -> None:
    for one in found:
        if isinstance(one, Rejection):
            short(one)
        else:
            assert MAPPED.describe(one.key).labels["__name__"]


@given(documents.map(lambda found: {"items": found} if not isinstance(found, dict) else found))
def test_any_document_gives_samples_and_rejections_or_one_rejected(document: Any) -> None:
    with rejected_at_most():
        check(MAPPED.read_document(document))


@given(st.binary(max_size=64) | mutated(documents.map(lambda found: json.dumps({"items": [found]}).encode())))
def test_any_bytes_give_samples_and_rejections_or_one_rejected(value: bytes) -> None:
    with rejected_at_most():
        check(MAPPED.read(value))


@given(
    st.lists(
        st.fixed_dictionaries({"v": st.floats(allow_nan=False), "m": st.text(min_size=1, max_size=4), "a": st.text(max_size=4)}), max_size=6
    )
)
def test_keys_are_the_same_where_labels_and_unit_are(items: list[dict[str, Any]]) -> None:
    reader = MappedJson(Mapping(**{**MAPPING, "metrics": [{"name": "$.m", "value": "$.v", "unit": "$.a"}], "timestamp": None}))
    found = [one for one in reader.read_document({"items": items}) if isinstance(one, Sample)]
    assert [one.value for one in found] == [item["v"] for item in items]
    told = [reader.describe(one.key) for one in found]
    assert [(one.labels["__name__"], one.labels["x"], one.unit) for one in told] == [(item["m"], item["a"], item["a"]) for item in items]
    for one, this in zip(found, told, strict=True):
        for other, that in zip(found, told, strict=True):
            assert (one.key == other.key) == (this == that)


@given(st.floats(allow_nan=False))
def test_a_number_is_the_same_as_text(number: float) -> None:
    reader = MappedJson(Mapping(format="json", metrics=({"name": "up", "value": "$"},)))
    (sample,) = reader.read_document(repr(number))
    assert isinstance(sample, Sample)
    assert sample.value == number == parse_number(repr(number))


@given(st.text(max_size=20) | st.text(alphabet="$.[]*'\\ab0", max_size=20))
def test_any_text_is_a_path_or_a_value_error(text: str) -> None:
    try:
        path = parse_path(text)
    except ValueError as error:
        short(Rejection(Reason.WRONG_TYPE, str(error)))
    else:
        assert path.text == text


@given(st.binary(max_size=64) | mutated(st.sampled_from([EVENT, b"[" + EVENT + b"," + EVENT + b"]"])), headers)
@example(b"[" * 100_000, (("content-type", CONTENT_TYPES[1]),))
def test_any_value_under_any_headers_unwraps_or_is_rejected(value: bytes, told: tuple[tuple[str, bytes], ...]) -> None:
    with rejected_at_most():
        is_event(told)
        for one in unwrap(value, told):
            assert isinstance(one, Inner) or len(one.detail) < SHORT


@given(st.binary(max_size=64) | mutated(st.sampled_from(FRAMES)), headers)
@example(frame(b"\x02" * 100_000, 1), ())
@example(frame(b"\xff" * 100_000, GUID), ())
def test_any_frame_gives_a_plain_document_or_is_rejected(value: bytes, told: tuple[tuple[str, bytes], ...]) -> None:
    with rejected_at_most():
        document = READER.document(whole_frame(value, told))
        json.dumps(document)
        check(MAPPED.read_document(document))


@pytest.mark.parametrize("value", FRAMES)
def test_the_frames_that_are_mutated_are_read_as_they_stand(value: bytes) -> None:
    READER.document(value)


avro_types = st.recursive(
    st.sampled_from(["null", "int", "string", "bytes", "com.example.R", "R", "", None, 5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"type": st.sampled_from(["array", "map"])}, optional={"items": inner, "values": inner})
        | st.fixed_dictionaries(
            {"type": st.just("fixed"), "name": st.sampled_from(["F", "R"])}, optional={"size": st.integers(-2, 2) | st.text(max_size=1)}
        )
        | st.fixed_dictionaries(
            {"type": st.just("enum"), "name": st.just("E"), "symbols": st.lists(st.sampled_from("AB"), max_size=2) | inner}
        )
        | st.fixed_dictionaries(
            {"type": st.just("bytes"), "logicalType": st.just("decimal")}, optional={"precision": inner, "scale": inner}
        )
        | st.lists(inner, max_size=3).map(
            lambda kinds: {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": kind} for n, kind in enumerate(kinds)]}
        )
    ),
    max_leaves=8,
)


@given(avro_types, st.binary(max_size=32))
def test_any_avro_schema_reads_a_record_or_rejects_it(schema: Any, payload: bytes) -> None:
    with rejected_at_most():
        json.dumps(confluent({7: avro(schema)}).document(frame(payload)))


@given(st.text(max_size=30) | mutated(st.just(READING_TEXT.encode())).map(lambda found: found.decode("latin-1")), st.binary(max_size=16))
def test_any_descriptor_reads_a_record_or_rejects_it(text: str, payload: bytes) -> None:
    schema = Schema(SchemaType.PROTOBUF, text, PROTOBUF.references)
    with rejected_at_most():
        json.dumps(confluent({7: schema}).document(frame(payload, 7, b"\x00")))


# choice


@dataclass(frozen=True)
class Form:
    """Likely by the first byte; read by the second."""

    name: str
    likely: frozenset[int]
    good: frozenset[int]

    def may_be(self, value: bytes) -> bool:
        return len(value) > 0 and value[0] in self.likely

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        if len(value) < 2 or value[1] not in self.good:
            raise Rejected(Reason.WRONG_TYPE, f"{self.name} cannot")
        return [Sample(value, None, 1.0)]

    def describe(self, key: bytes) -> Described:
        return Described({"__name__": repr(key)})


few = st.integers(0, 5)
forms = st.lists(st.tuples(st.frozensets(few), st.frozensets(few)), min_size=1, max_size=5).map(
    lambda found: [Form(f"f{n}", likely, good) for n, (likely, good) in enumerate(found)]
)
values = st.lists(few, max_size=4).map(bytes)


def outcome(choice: Choice, topic: str, value: bytes) -> tuple[Any, ...]:
    try:
        (one,) = choice.read(topic, value, ())
    except Rejected as refused:
        short(refused.rejection)
        return ("rejected", refused.rejection)
    assert isinstance(one, Read)
    return (one.format.name, one.found)


@given(forms, values)
def test_a_record_is_of_the_first_that_may_be_and_can(told: list[Form], value: bytes) -> None:
    able = [one.name for one in told if one.may_be(value) and len(value) > 1 and value[1] in one.good]
    found = outcome(Choice([Candidate(one, one.may_be) for one in told], {}), "t", value)
    assert found[0] == (able[0] if able else "rejected")


@given(forms, values, headers)
def test_any_record_under_any_headers_is_read_or_rejected(told: list[Form], value: bytes, more: tuple[tuple[str, bytes], ...]) -> None:
    choice = Choice([Candidate(one, one.may_be, frozenset({"text/plain"})) for one in told], {})
    with rejected_at_most():
        found = choice.read("t", value, more)
        assert all(isinstance(one, Read | Rejection) for one in found)
