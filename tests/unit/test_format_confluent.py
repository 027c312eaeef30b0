"""Confluent's wire format: an id of a schema, then Avro, Protobuf or JSON; a document comes of it, and the mapping reads that."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest

from schemas.config.formats import Mapping
from streams.harness.errors import Retryable
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.confluent import HEADER, MAX_RECORD_BYTES, Confluent, is_frame, message_indexes, whole_frame
from streams.normalise.formats.mapped_json import MappedJson
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.protobuf_documents import MOST_MEMBERS
from streams.normalise.formats.registry import MOST_SCHEMAS, Schema, SchemaId, SchemaType
from tests.unit.confluent_schemas import GUID, PROTOBUF, READING, READING_TEXT, avro, confluent, frame, in_avro, indexes, message, record

AT = 1_764_298_800_123


def rejection(reader: Confluent, value: bytes) -> Rejection:
    with pytest.raises(Rejected) as caught:
        reader.document(value)
    return caught.value.rejection


def through(schema: Any, value: Any) -> Any:
    return confluent({7: avro(schema)}).document(frame(in_avro(schema, value)))


# frames


@pytest.mark.parametrize("asked", [7, 2**32 - 1, GUID])
def test_a_frame_is_read_by_the_schema_whose_id_it_begins_with(asked: SchemaId) -> None:
    reader = confluent({asked: avro(READING)})
    (sample,) = reader.read(frame(in_avro(READING, {"service": "cart", "value": 0.5}), asked))
    assert isinstance(sample, Sample)
    assert (sample.at, sample.value) == (None, 0.5)
    assert reader.describe(sample.key) == Described({"__name__": "load", "service": "cart"})


def test_the_documented_example_is_magic_then_id_then_avro() -> None:
    # Confluent, "Wire format": byte 0 the magic byte 0, bytes 1-4 the schema ID, from 5 on the data; Avro's example string "foo"
    assert confluent({100: avro("string")}).document(bytes.fromhex("00 00000064 06 666f6f")) == "foo"


def test_a_schema_id_in_a_header_is_the_same_bytes_before_the_payload() -> None:
    payload = in_avro(READING, {"service": "cart", "value": 1.0})
    head = bytes.fromhex("01 89791762233641869674299b90a802e2")
    whole = whole_frame(payload, (("other", b"x"), (HEADER, b"old"), (HEADER, head)))
    assert whole == frame(payload, GUID)
    assert confluent({GUID: avro(READING)}).document(whole) == {"service": "cart", "value": 1.0}


def test_a_value_without_that_header_is_whole_as_it_stands() -> None:
    assert whole_frame(b"\x00x", (("content-type", b"x"),)) == b"\x00x"


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01" + b"x" * 15, b'{"a": 1}', b"\x02" + b"x" * 30])
def test_what_has_no_room_for_an_id_is_no_frame(value: bytes) -> None:
    assert not is_frame(value)
    assert "no 00 and schema id" in rejection(confluent({}), value).detail


def test_a_schema_that_nobody_knows_rejects_the_record() -> None:
    assert rejection(confluent({}), frame(b"")) == Rejection(Reason.MISSING_FIELD, "the schema registry knows no 7")


def test_a_registry_that_is_away_rejects_nothing() -> None:
    class Away:
        def schema(self, asked: SchemaId) -> Schema:
            raise Retryable(f"{asked}?")

    with pytest.raises(Retryable):
        Confluent(Away(), MappedJson(Mapping(format="confluent", metrics=({"name": "load", "value": "$"},)))).read(frame(b""))


def test_a_record_that_is_too_long_is_rejected() -> None:
    assert rejection(confluent({}), b"\x00" * (MAX_RECORD_BYTES + 1)).reason is Reason.TOO_LARGE


# JSON


def test_json_behind_an_id_is_read_as_it_stands() -> None:
    reader = confluent({7: Schema(SchemaType.JSON, "{}")})
    assert reader.document(frame(b'{"value": [1]}')) == {"value": [1]}
    assert rejection(reader, frame(b"{")).reason is Reason.NOT_JSON
    assert rejection(reader, frame(b"[" * 100_000)).reason is Reason.NOT_JSON


# Avro


@pytest.mark.parametrize(
    ("kind", "value", "document"),
    [
        ("long", 2**40, 2**40),
        ("boolean", True, True),
        (["null", "double"], None, None),
        (["null", "double"], 1.5, 1.5),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": "string"}, {"a": "b"}, {"a": "b"}),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ("bytes", b"\x00\xff", "AP8="),
        ({"type": "fixed", "name": "F", "size": 2}, b"\x00\xff", "AP8="),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            dt.datetime(2025, 11, 28, 3, tzinfo=dt.UTC),
            "2025-11-28T03:00:00Z",
        ),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("12.34"), "12.34"),
        ({"type": "string", "logicalType": "uuid"}, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_an_avro_value_is_what_json_would_have_for_it(kind: Any, value: Any, document: Any) -> None:
    schema = record(("it", kind))
    assert through(schema, {"it": value}) == {"it": document}
    assert through(kind, value) == document


def test_a_logical_time_a_decimal_and_a_null_are_read_by_the_mapping() -> None:
    schema = record(
        ("value", ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]),
        ("service", "string"),
        ("ts", {"type": "long", "logicalType": "timestamp-micros"}),
    )
    reader = confluent({7: avro(schema)}, timestamp="$.ts")
    at = dt.datetime.fromtimestamp(AT / 1000, dt.UTC)
    (sample,) = reader.read(frame(in_avro(schema, {"value": Decimal("12.34"), "service": "a", "ts": at})))
    assert isinstance(sample, Sample)
    assert (sample.at, sample.value) == (AT, 12.34)
    assert list(reader.read(frame(in_avro(schema, {"value": None, "service": "a", "ts": at})))) == []


def test_a_schema_may_refer_to_others_that_refer_to_others() -> None:
    unit = record(("name", "string"), name="Unit")
    metric = record(("unit", "com.example.Unit"), ("value", "double"), name="Metric")
    whole = record(("service", "string"), ("metric", "com.example.Metric"), ("unit", "com.example.Unit"), name="Whole")
    known = avro(whole, metric=avro(metric, unit=avro(unit)), unit=avro(unit))
    payload = b"\x08cart" + b"\x02s" + in_avro("double", 2.0) + b"\x04ms"
    assert confluent({7: known}).document(frame(payload)) == {
        "service": "cart",
        "metric": {"unit": {"name": "s"}, "value": 2.0},
        "unit": {"name": "ms"},
    }


def test_a_union_of_references_is_a_schema() -> None:
    known = avro(["com.example.Reading"], reading=avro(READING))
    assert confluent({7: known}).document(frame(b"\x00" + in_avro(READING, {"service": "a", "value": 1.0}))) == {
        "service": "a",
        "value": 1.0,
    }


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (record(("next", ["null", "com.example.Reading"])), "com.example.Reading contains itself"),
        (record(("all", {"type": "array", "items": "null"})), "null outside a union takes no byte"),
        (
            record(("all", {"type": "array", "items": {"type": "record", "name": "N", "fields": []}})),
            "com.example.N is a record without fields",
        ),
        (record(("all", {"type": "array", "items": {"type": "fixed", "name": "N", "size": 0}})), "com.example.N is fixed of size 0"),
        ("null", "null outside a union takes no byte"),
        ("com.example.Unknown", "com.example.Unknown"),
        ({"type": "record"}, "name"),
        ([], "no Avro of its schema"),
        (7, "cannot be read"),
        ({"type": "enum", "name": "E", "symbols": "AB"}, ""),
    ],
)
def test_a_schema_that_could_cost_more_than_its_bytes_or_is_none_is_rejected(schema: Any, says: str) -> None:
    found = rejection(confluent({7: avro(schema)}), frame(b"\x02" * 100))
    assert found.reason is Reason.WRONG_TYPE
    assert found.detail.startswith("schema 7: ")
    assert says in found.detail


def test_a_schema_nested_too_deep_is_rejected() -> None:
    def nested(levels: int) -> Any:
        return "int" if levels == 0 else {"type": "array", "items": nested(levels - 1)}

    assert confluent({7: avro(nested(60))}).document(frame(b"\x00")) == []
    assert "more than 64 types within types" in rejection(confluent({7: avro(nested(70))}), frame(b"\x00")).detail
    deep = Schema(SchemaType.AVRO, '{"type":"array","items":' * 50_000 + '"int"' + "}" * 50_000)
    assert rejection(confluent({7: deep}), frame(b"\x00")).reason is Reason.WRONG_TYPE


def test_a_schema_of_types_that_double_at_every_level_is_checked_in_no_time() -> None:
    schema: Any = record(("a", "int"), name="T0")
    for n in range(1, 60):
        schema = record(("a", schema), ("b", f"com.example.T{n - 1}"), name=f"T{n}")
    assert "EOFError" in rejection(confluent({7: avro(schema)}), frame(b"\x02" * 100)).detail


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "EOFError"),
        (b"\x08car", "EOFError"),
        (b"\x02\xff" + b"\x00" * 8, "UnicodeDecodeError"),
        (b"\x02a" + b"\x00" * 9, "1 bytes are left over"),
        (b"\xff" * 10, ""),
        (b"\xfe\xff\xff\xff\x0f", "EOFError"),
    ],
)
def test_bytes_that_are_no_avro_of_their_schema_are_rejected(payload: bytes, says: str) -> None:
    found = rejection(confluent({7: avro(READING)}), frame(payload))
    assert found.reason is Reason.WRONG_TYPE
    assert says in found.detail


def test_a_branch_of_a_union_that_is_not_there_is_rejected() -> None:
    assert "IndexError" in rejection(confluent({7: avro(["null", "int"])}), frame(b"\x08")).detail


def test_a_block_that_promises_more_than_there_is_is_rejected_soon() -> None:
    many = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
    assert rejection(confluent({7: avro({"type": "array", "items": "int"})}), frame(many)).reason is Reason.WRONG_TYPE


# Protobuf


def read_message(name: str, chosen: bytes, **told: Any) -> Any:
    return confluent({7: PROTOBUF}).document(frame(message(name, **told).SerializeToString(), 7, chosen))


def test_a_message_is_told_with_the_names_of_its_file() -> None:
    assert read_message(
        "Reading", indexes(1), service="cart", value=0.5, at=AT, level=1, raw_bytes=b"\xff", point={"x": 0.5}, time={"seconds": 1}
    ) == {
        "service": "cart",
        "value": 0.5,
        "at": str(AT),
        "level": "HIGH",
        "raw_bytes": "/w==",
        "parts": [],
        "point": {"x": 0.5},
        "time": "1970-01-01T00:00:01Z",
    }


def test_a_field_of_zero_is_told_and_an_optional_one_only_if_it_was_written() -> None:
    assert read_message("Reading", indexes(1))["value"] == 0.0
    assert "limit" not in read_message("Reading", indexes(1))
    assert read_message("Reading", indexes(1), limit=0.0)["limit"] == 0.0


def test_a_protobuf_message_is_read_by_the_mapping() -> None:
    payload = message("Reading", service="cart", parts=[{"value": 1.0, "at": AT}, {"value": 0.0, "at": AT + 1}]).SerializeToString()
    reader = confluent({7: PROTOBUF}, each="$.parts[*]", timestamp="$.at", labels={"service": "$$.service"})
    found = [one for one in reader.read(frame(payload, 7, indexes(1))) if isinstance(one, Sample)]
    assert [(one.at, one.value) for one in found] == [(AT, 1.0), (AT + 1, 0.0)]
    assert reader.describe(found[0].key).labels == {"__name__": "load", "service": "cart"}


def test_a_single_zero_names_the_first_message() -> None:
    assert read_message("Other", b"\x00", inner={"counts": {"a": 1}}) == {"inner": {"counts": {"a": "1"}}}


def test_indexes_lead_to_messages_within_messages() -> None:
    assert read_message("Other.Inner", indexes(0, 0), counts={"a": 1}) == {"counts": {"a": "1"}}
    assert read_message("Other.Last", indexes(0, 1), on=True) == {"on": True}


def test_an_entry_of_a_map_is_no_message_that_indexes_count() -> None:
    assert "message [0, 0, 0]" in rejection(confluent({7: PROTOBUF}), frame(b"", 7, indexes(0, 0, 0))).detail


def test_message_indexes_are_zigzag_varints() -> None:
    # the vector of Confluent's own clients: GUID 8979…, then 06 02 04 06 is the message [1, 2, 3]
    assert message_indexes(bytes.fromhex("06 02 04 06 ff"), 0) == ((1, 2, 3), 4)
    assert message_indexes(b"\x00\xff", 0) == ((0,), 1)
    assert message_indexes(b"\x02\x80\x01", 0) == ((64,), 3)


def test_more_indexes_than_messages_are_ever_nested_are_not_read() -> None:
    assert message_indexes(b"\x20" + b"\x00" * 16, 0) == ((0,) * 16, 17)
    with pytest.raises(Rejected, match="17 message indexes"):
        message_indexes(b"\x22" + b"\x00" * 17, 0)


@pytest.mark.parametrize("written", [b"", b"\x80", b"\x80" * 10, b"\x01", b"\x40" + b"\x00" * 40, b"\x04\x00", b"\x02\x01", b"\x02\x08"])
def test_indexes_that_lead_nowhere_are_rejected(written: bytes) -> None:
    assert rejection(confluent({7: PROTOBUF}), frame(b"", 7, written)).reason is Reason.WRONG_TYPE


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (Schema(SchemaType.PROTOBUF, 'syntax = "proto3"; message M {}'), "descriptor cannot be read"),
        (Schema(SchemaType.PROTOBUF, "AAAA"), "descriptor cannot be read"),
        (Schema(SchemaType.PROTOBUF, READING_TEXT), "common/point.proto"),
        (Schema(SchemaType.PROTOBUF, ""), "no such message"),
    ],
)
def test_a_descriptor_that_cannot_be_used_is_rejected_with_why(schema: Schema, says: str) -> None:
    assert says in rejection(confluent({7: schema}), frame(b"", 7, b"\x00")).detail


@pytest.mark.parametrize(
    "payload", [b"\x0a", b"\x0a\x05a", b"\xff" * 20, b"\x22\x0a\x08" + b"\x80" * 8 + b"\x40", b"\x2a\x02" * 10 + b"\x0b"]
)
def test_bytes_that_are_no_protobuf_of_their_schema_are_rejected(payload: bytes) -> None:
    assert "no Protobuf of its schema" in rejection(confluent({7: PROTOBUF}), frame(payload, 7, indexes(1))).detail


def test_a_message_nested_too_deep_is_rejected() -> None:
    payload = b""
    for _ in range(150):
        payload = b"\x2a" + bytes([len(payload) & 0x7F | 0x80, len(payload) >> 7]) + payload
    assert "no Protobuf of its schema" in rejection(confluent({7: PROTOBUF}), frame(payload, 7, indexes(1))).detail


def test_a_message_that_grows_beyond_bounds_when_told_is_rejected_before() -> None:
    payload = b"\x2a\x00" * (MOST_MEMBERS // 9 + 1)  # each an empty part of nine fields
    assert rejection(confluent({7: PROTOBUF}), frame(payload, 7, indexes(1))).reason is Reason.TOO_LARGE


# what is kept


@pytest.mark.parametrize("schema", [avro(READING), avro("null")])
def test_a_schema_is_compiled_once_also_where_it_cannot_be(schema: Schema) -> None:
    reader = confluent({7: schema})
    kept = []
    for _ in range(2):
        with contextlib.suppress(Rejected):
            reader.document(frame(in_avro(READING, {"service": "a", "value": 1.0})))
        kept.append(reader._decoders[7, ()])
    assert kept[0] is kept[1]


def test_compiled_schemas_are_kept_within_a_bound() -> None:
    known = {n: avro("int") for n in range(MOST_SCHEMAS + 5)}
    reader = confluent(known)
    for n in known:
        assert reader.document(frame(b"\x02", n)) == 1
    assert len(reader._decoders) == MOST_SCHEMAS
