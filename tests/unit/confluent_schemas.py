"""Schemas and frames of the tests of Confluent's wire format; a registry that is a mapping."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import fastavro
from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from schemas.config.formats import Mapping as Told
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.confluent import Confluent
from streams.normalise.formats.mapped_json import MappedJson
from streams.normalise.formats.registry import Schema, SchemaId, SchemaType

GUID = UUID("89791762-2336-4186-9674-299b90a802e2")
Field = descriptor_pb2.FieldDescriptorProto


class FakeSchemas:
    def __init__(self, known: Mapping[SchemaId, Schema]) -> None:
        self.known = known

    def schema(self, asked: SchemaId) -> Schema:
        if asked not in self.known:
            raise Rejected(Reason.MISSING_FIELD, f"the schema registry knows no {asked}")
        return self.known[asked]


def confluent(known: Mapping[SchemaId, Schema], **told: Any) -> Confluent:
    mapping = {"format": "confluent", "metrics": [{"name": "load", "value": "$.value"}], "labels": {"service": "$.service"}, **told}
    return Confluent(FakeSchemas(known), MappedJson(Told(**mapping)))


def frame(payload: bytes, asked: SchemaId = 7, indexes: bytes = b"") -> bytes:
    head = b"\x00" + asked.to_bytes(4, "big") if isinstance(asked, int) else b"\x01" + asked.bytes
    return head + indexes + payload


# Avro


def avro(schema: Any, **references: Schema) -> Schema:
    return Schema(SchemaType.AVRO, json.dumps(schema), tuple(references.items()))


def record(*fields: tuple[str, Any], name: str = "Reading") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "com.example", "fields": [{"name": key, "type": kind} for key, kind in fields]}


READING = record(("service", "string"), ("value", "double"))


def in_avro(schema: Any, value: Any) -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, schema, value)
    return sink.getvalue()


# Protobuf: reading.proto and point.proto, as a registry would give them
#   message Other { Inner inner = 1; message Inner { map<string, int64> counts = 1; } message Last { bool on = 1; } }
#   message Reading { string service = 1; double value = 2; int64 at = 3; google.protobuf.Timestamp time = 4;
#                     repeated Reading parts = 5; optional double limit = 6; Level level = 7; common.Point point = 8; bytes raw_bytes = 9; }
#   enum Level { LOW = 0; HIGH = 1; }


def _field(name: str, number: int, kind: Field.Type.ValueType, type_name: str = "", *, many: bool = False) -> Field:
    label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
    return Field(name=name, number=number, type=kind, type_name=type_name or None, label=label)


def _point_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="default", package="common", syntax="proto3")
    file.message_type.add(name="Point", field=[_field("x", 1, Field.TYPE_FLOAT)])
    return file


def _reading_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="default", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "common/point.proto"])
    file.enum_type.add(name="Level").value.extend(
        [descriptor_pb2.EnumValueDescriptorProto(name="LOW", number=0), descriptor_pb2.EnumValueDescriptorProto(name="HIGH", number=1)]
    )
    other = file.message_type.add(name="Other", field=[_field("inner", 1, Field.TYPE_MESSAGE, ".Other.Inner")])
    inner = other.nested_type.add(name="Inner", field=[_field("counts", 1, Field.TYPE_MESSAGE, ".Other.Inner.CountsEntry", many=True)])
    entry = inner.nested_type.add(name="CountsEntry", field=[_field("key", 1, Field.TYPE_STRING), _field("value", 2, Field.TYPE_INT64)])
    entry.options.map_entry = True
    other.nested_type.add(name="Last", field=[_field("on", 1, Field.TYPE_BOOL)])
    reading = file.message_type.add(name="Reading")
    reading.field.extend(
        [
            _field("service", 1, Field.TYPE_STRING),
            _field("value", 2, Field.TYPE_DOUBLE),
            _field("at", 3, Field.TYPE_INT64),
            _field("time", 4, Field.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            _field("parts", 5, Field.TYPE_MESSAGE, ".Reading", many=True),
            _field("limit", 6, Field.TYPE_DOUBLE),
            _field("level", 7, Field.TYPE_ENUM, ".Level"),
            _field("point", 8, Field.TYPE_MESSAGE, ".common.Point"),
            _field("raw_bytes", 9, Field.TYPE_BYTES),
        ]
    )
    reading.field[5].proto3_optional = True
    reading.field[5].oneof_index = 0
    reading.oneof_decl.add(name="_limit")
    return file


def serialized(file: descriptor_pb2.FileDescriptorProto) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


POINT_TEXT, READING_TEXT = serialized(_point_file()), serialized(_reading_file())
PROTOBUF = Schema(SchemaType.PROTOBUF, READING_TEXT, (("common/point.proto", Schema(SchemaType.PROTOBUF, POINT_TEXT)),))


def message(name: str, **told: Any) -> Message:
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    point = _point_file()
    point.name = "common/point.proto"
    pool.AddSerializedFile(point.SerializeToString())
    pool.AddSerializedFile(_reading_file().SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(name))(**told)


def indexes(*numbers: int) -> bytes:
    """Write message indexes as Confluent's serializers do; small ones, of a byte each."""
    written: Sequence[int] = (0,) if numbers == (0,) else (2 * len(numbers), *(2 * number for number in numbers))
    return bytes(written)
