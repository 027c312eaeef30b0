"""Protobuf to a document, by the descriptor that the registry made of the .proto file.

The registry is asked for the descriptor (?format=serialized) because it has parsed the file already: a second parser here could only
disagree. Names stay as the file writes them; fields without presence are told with their defaults, or a gauge of 0 would be missing;
64-bit integers are texts, as Protobuf's JSON has them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.registry import Schema

MOST_MEMBERS = 200_000  # of one document: an empty message takes two bytes, and a member for each of its fields here
_MAIN = "airra/record.proto"  # no import's name
_WELL_KNOWN = (any_pb2, descriptor_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_UNFIT = (DecodeError, JsonError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


def protobuf_decoder(schema: Schema, indexes: Sequence[int]) -> Callable[[bytes], Any]:
    """Return the decoder of one message of a schema; raise Rejected for a schema that is not read or has no such message."""
    pool = DescriptorPool()
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    try:
        for name, text in _files(schema):
            pool.AddSerializedFile(_file(name, text))
        declared = pool.FindFileByName(_MAIN).message_types_by_name.values()
    except _UNFIT as error:
        raise Rejected(Reason.WRONG_TYPE, f"its Protobuf descriptor cannot be read: {str(error)[:300]}") from None
    kind = GetMessageClass(_message(declared, indexes))

    def decode(payload: bytes) -> Any:
        message = kind()
        try:
            message.ParseFromString(payload)
            if _members(message, MOST_MEMBERS) < 0:
                raise Rejected(Reason.TOO_LARGE, f"more than {MOST_MEMBERS} members")
            return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=pool)
        except _UNFIT as error:
            raise Rejected(Reason.WRONG_TYPE, f"no Protobuf of its schema: {type(error).__name__} {str(error)[:200]}") from None

    return decode


def _files(schema: Schema) -> Iterable[tuple[str, str]]:
    """Give every file once, what others import before them; what Protobuf itself brings is not taken from elsewhere."""
    seen = {module.DESCRIPTOR.name for module in _WELL_KNOWN}

    def visit(one: Schema) -> Iterable[tuple[str, str]]:
        for name, reference in one.references:
            if name not in seen:
                seen.add(name)
                yield from visit(reference)
                yield name, reference.text

    yield from visit(schema)
    yield _MAIN, schema.text


def _file(name: str, text: str) -> bytes:
    """Name a file as others import it: a registry calls each by a name of its own."""
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    file.name = name
    return file.SerializeToString()


def _message(declared: Iterable[Descriptor], indexes: Sequence[int]) -> Descriptor:
    """Follow the indexes: of a message of the file, then of one within it, counting those that the file writes down."""
    found: Descriptor | None = None
    for index in indexes:
        written = [one for one in (declared if found is None else found.nested_types) if not one.GetOptions().map_entry]
        if not 0 <= index < len(written):
            raise Rejected(Reason.WRONG_TYPE, f"message {list(indexes)} of its schema, which has no such message")
        found = written[index]
    if found is None:
        raise Rejected(Reason.WRONG_TYPE, "no message of its schema is named")
    return found


def _members(message: Message, left: int) -> int:
    """Count a message's members down; below 0 there are too many."""
    left -= len(message.DESCRIPTOR.fields)
    for descriptor, value in message.ListFields():
        if left < 0:
            break
        if descriptor.message_type is None:
            left -= len(value) if descriptor.is_repeated else 0
        elif not descriptor.is_repeated:
            left = _members(value, left)
        else:
            entries = descriptor.message_type.GetOptions().map_entry
            for one in value.values() if entries else value:
                left = _members(one, left - 1) if isinstance(one, Message) else left - 1
                if left < 0:
                    break
    return left
