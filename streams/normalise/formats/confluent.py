"""Records whose schema is in a registry, in Confluent's wire format.

    00  id, 4 bytes big-endian      [message indexes]  payload
    01  GUID, 16 bytes              [message indexes]  payload

Newer serializers put all before the payload into the header __value_schema_id instead. Message indexes come before Protobuf only: a
zigzag varint of how many, then each; a single 0 stands for [0]. Payload: Avro binary, Protobuf, or JSON, which is read as it stands
(a producer's own schema says nothing that the topic's mapping does not check).

Not read: Protobuf's deprecated indexes without zigzag (use.deprecated.format), which cannot be told from the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from uuid import UUID

import msgspec

from streams.harness.stage import Headers
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.avro_documents import avro_decoder
from streams.normalise.formats.documents import SHOWN_CHARS
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.protobuf_documents import protobuf_decoder
from streams.normalise.formats.registry import MOST_SCHEMAS, Schema, SchemaId, Schemas, SchemaType
from streams.normalise.jsons import decode

MAX_RECORD_BYTES = 4 * 1024 * 1024  # Kafka's usual limit is one megabyte of a compressed batch
HEADER = "__value_schema_id"
MOST_INDEXES = 16  # of messages within messages
_VARINT_BYTES = 5  # of 32 bits

_ANY = msgspec.json.Decoder()

Decode = Callable[[bytes], Any]


class Documents(Protocol):
    """Who makes samples of documents: the mapping of the topic."""

    def read_document(self, record: Any) -> Iterable[Sample | Rejection]:
        """Raise Rejected where there are none to be found."""

    def describe(self, key: bytes) -> Described:
        """Say what a key means."""


def whole_frame(value: bytes, headers: Headers) -> bytes:
    """Put a schema id that stands in a header back before its payload, where it is the same bytes."""
    return next((id_ for name, id_ in reversed(headers) if name == HEADER), b"") + value


def is_frame(value: bytes) -> bool:
    """Tell whether a value may be a frame; that it is one, only its schema's id in the registry shows."""
    return (value[:1] == b"\x00" and len(value) >= 5) or (value[:1] == b"\x01" and len(value) >= 17)


class Confluent:
    """Decodes frames to documents. Compiled schemas are kept; what a schema cannot do is kept as its reason."""

    name = "confluent"

    def __init__(self, schemas: Schemas, documents: Documents) -> None:
        self._schemas = schemas
        self._documents = documents
        self._decoders: OrderedDict[tuple[SchemaId, tuple[int, ...]], Decode | Rejection] = OrderedDict()  # the longest unused first

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        """Raise Retryable where the registry is away, besides Rejected."""
        return self._documents.read_document(self.document(value))

    def describe(self, key: bytes) -> Described:
        return self._documents.describe(key)

    def document(self, value: bytes) -> Any:
        if len(value) > MAX_RECORD_BYTES:
            raise Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_RECORD_BYTES}")
        if not is_frame(value):
            begins = repr(value[:SHOWN_CHARS])[:SHOWN_CHARS]
            raise Rejected(Reason.WRONG_TYPE, f"begins with {begins}: no 00 and schema id, no 01 and GUID")
        asked, at = (int.from_bytes(value[1:5], "big"), 5) if value[0] == 0 else (UUID(bytes=value[1:17]), 17)
        schema = self._schemas.schema(asked)
        indexes: tuple[int, ...] = ()
        if schema.type is SchemaType.PROTOBUF:
            indexes, at = message_indexes(value, at)
        try:
            return self._decoder(asked, schema, indexes)(value[at:])
        except Rejected as refused:
            raise Rejected(refused.rejection.reason, f"schema {asked}: {refused.rejection.detail}") from None

    def _decoder(self, asked: SchemaId, schema: Schema, indexes: tuple[int, ...]) -> Decode:
        key = (asked, indexes)
        found = self._decoders.get(key)
        if found is None:
            try:
                found = _decoder_of(schema, indexes)
            except Rejected as refused:
                found = refused.rejection
            self._decoders[key] = found
            if len(self._decoders) > MOST_SCHEMAS:
                self._decoders.popitem(last=False)
        else:
            self._decoders.move_to_end(key)
        if isinstance(found, Rejection):
            raise Rejected(found.reason, found.detail)
        return found


def message_indexes(value: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the indexes that stand at a place, and where they end; raise Rejected for what cannot be any."""
    count, at = _varint(value, at)
    if count == 0:
        return (0,), at
    if not 0 < count <= MOST_INDEXES:
        raise Rejected(Reason.WRONG_TYPE, f"{count} message indexes before Protobuf, from 1 to {MOST_INDEXES} there may be")
    indexes = []
    for _ in range(count):
        index, at = _varint(value, at)
        indexes.append(index)
    return tuple(indexes), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    found = 0
    for n, byte in enumerate(value[at : at + _VARINT_BYTES]):
        found |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at + n + 1
    raise Rejected(Reason.WRONG_TYPE, "message indexes before Protobuf that do not end")


def _decoder_of(schema: Schema, indexes: tuple[int, ...]) -> Decode:
    match schema.type:
        case SchemaType.AVRO:
            return avro_decoder(schema)
        case SchemaType.PROTOBUF:
            return protobuf_decoder(schema, indexes)
        case SchemaType.JSON:
            return lambda payload: decode(_ANY, payload, MAX_RECORD_BYTES)
