"""How a model becomes a record of a log, and a record a model: one encoding for every control topic."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.base import SCHEMA, SCHEMA_HEADER, SCHEMA_MAJORS, Position, canonical
from schemas.samples import TYPE_HEADER
from schemas.topics import TopicSpec
from streams.harness.errors import Poison
from streams.harness.stage import Output, Record

SOURCE_HEADER = "airra.source"  # a copied record: where the original stands

Event = TypeVar("Event")


_ENCODER = msgspec.json.Encoder()


def emit(topic: TopicSpec, key: str, model: BaseModel | msgspec.Struct, source: Position | None = None) -> Output:
    """Encode a model with a `type` field as a record of this topic; a struct has its fields in the order of their names."""
    kind: Any = getattr(model, "type")  # noqa: B009 - the base model has none
    headers: tuple[tuple[str, bytes], ...] = ((TYPE_HEADER, str(kind).encode()), SCHEMA)
    if source is not None:
        headers = (*headers, (SOURCE_HEADER, str(source).encode()))
    return Output(topic.name, key.encode(), _ENCODER.encode(model) if isinstance(model, msgspec.Struct) else canonical(model), headers)


def position(record: Record) -> Position:
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)


def refuse_unknown(record: Record) -> None:
    """Raise Poison for a record of a major version that this release does not read; one that does not say is of the first."""
    told = record.header(SCHEMA_HEADER)
    if told is not None and told.partition(b".")[0] not in SCHEMA_MAJORS:
        ours = b", ".join(sorted(SCHEMA_MAJORS)).decode()
        raise Poison("unknown_schema", f"version {told.decode(errors='replace')[:20]}, and this release reads {ours}: a newer one wrote it")


def parse(adapter: TypeAdapter[Event], record: Record) -> Event:
    """Decode a record of a control topic; what is none of the topic's types, or of a version not known, is poison."""
    refuse_unknown(record)
    try:
        return adapter.validate_json(record.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise Poison("invalid_record", f"{where}: {first['msg']}") from error
