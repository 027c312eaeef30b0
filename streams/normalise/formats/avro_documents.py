"""Avro binary to a document, by the schema it was written with.

A schema is checked once, so that decoding any bytes costs no more than their length: it may not contain itself, which would let a
record nest without end, and everything in it takes a byte at least, or an array of a billion nulls would fit into ten bytes.

Times become RFC 3339 texts, decimals and UUIDs texts, bytes Base64.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import fastavro
import msgspec
from fastavro.schema import SchemaParseException

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.registry import Schema
from streams.normalise.jsons import DECODE_ERRORS

MOST_LEVELS = 64  # of types within types
# What fastavro raises for bytes or schemas that do not fit: it has no error of its own for most.
_UNFIT = (EOFError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error, SchemaParseException)
_WRAPPED = "airra_document"  # a record of one field is written as the field alone, and makes a union or a reference a whole schema
_PRIMITIVES = {"boolean", "int", "long", "float", "double", "bytes", "string"}


def avro_decoder(schema: Schema) -> Callable[[bytes], Any]:
    """Return the decoder of a schema; raise Rejected for one that is not read."""
    named: dict[str, dict[str, Any]] = {}
    try:
        for _, text in _flat(schema):
            fastavro.parse_schema(text, named_schemas=named)
        whole = {"type": "record", "name": _WRAPPED, "fields": [{"name": "it", "type": msgspec.json.decode(schema.text)}]}
        parsed = fastavro.parse_schema(whole, named_schemas=named)
        _check(whole["name"], named, [], {})
    except (*DECODE_ERRORS, *_UNFIT) as error:
        raise Rejected(Reason.WRONG_TYPE, f"its Avro schema cannot be read: {type(error).__name__} {str(error)[:200]}") from None

    def decode(payload: bytes) -> Any:
        source = io.BytesIO(payload)
        try:
            found = fastavro.schemaless_reader(source, parsed, None)
            document = msgspec.to_builtins(found["it"])  # type: ignore[call-overload, index]
        except _UNFIT as error:
            raise Rejected(Reason.WRONG_TYPE, f"no Avro of its schema: {type(error).__name__} {str(error)[:200]}") from None
        if rest := len(payload) - source.tell():
            raise Rejected(Reason.WRONG_TYPE, f"no Avro of its schema: {rest} bytes are left over")
        return document

    return decode


def _flat(schema: Schema) -> list[tuple[str, Any]]:
    """Return all that a schema refers to, each name once, what others refer to before them."""
    found: dict[str, Any] = {}

    def visit(one: Schema) -> None:
        for name, reference in one.references:
            if name not in found:
                visit(reference)
                found[name] = msgspec.json.decode(reference.text)

    visit(schema)
    return list(found.items())


def _check(node: Any, named: Mapping[str, dict[str, Any]], within: list[str], done: dict[str, int]) -> int:
    """Return how many levels are below; raise ValueError for a type that contains itself, goes too deep, or may take no byte."""
    if isinstance(node, dict) and node.get("type") in {"record", "error"}:
        name = node["name"]
        if not node["fields"]:
            raise ValueError(f"{name} is a record without fields, which takes no byte")
        levels = 1 + max(_check(each["type"], named, [*within, name], done) for each in node["fields"])
    elif isinstance(node, dict) and node.get("type") in {"array", "map"}:
        levels = 1 + _check(node["items" if node["type"] == "array" else "values"], named, within, done)
    elif isinstance(node, dict):
        if node["type"] == "fixed" and not node["size"] > 0:
            raise ValueError(f"{node['name']} is fixed of size 0, which takes no byte")
        levels = 1 if node["type"] in {"fixed", "enum"} else _check(node["type"], named, within, done)
    elif isinstance(node, list):
        levels = 1 + max((_check(each, named, within, done) for each in node if _type(each) != "null"), default=0)
    elif node in _PRIMITIVES:
        levels = 1
    elif node == "null":
        raise ValueError("null outside a union takes no byte")
    elif node in within:
        raise ValueError(f"{node} contains itself: no limit to its nesting")
    else:
        levels = done[node] if node in done else done.setdefault(node, _check(named[node], named, within, done))
    if levels > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} types within types")
    return levels


def _type(node: Any) -> Any:
    return node.get("type") if isinstance(node, dict) else node
