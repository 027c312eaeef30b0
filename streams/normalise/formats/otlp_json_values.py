"""Scalars and attribute values of OTLP's JSON, by https://protobuf.dev/programming-guides/json/ ."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import Any

import msgspec

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.otlp_values import MAX_DEPTH, Pairs, Value
from streams.normalise.numerals import parse_number

Integer = int | str | None  # of 64 bits
Double = float | str | None


class KeyValue(msgspec.Struct, gc=False):
    key: str | None = None
    value: dict[str, Any] | None = None


def integer(value: object, bits: int = 64, *, negative: bool = False) -> int:
    """Return a number, 0 for none; raise Rejected for what the type does not hold."""
    if value is None:
        return 0
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Rejected(Reason.WRONG_TYPE, f"{str(value)[:64]!r} is no integer")
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if negative else (0, 2**bits - 1)
    if not lowest <= value <= highest:
        raise Rejected(Reason.WRONG_TYPE, f"{str(value)[:64]} is not from {lowest} to {highest}")
    return value


def double(value: object) -> float:
    """Return a number, 0 for none; the three that JSON has no numeral for are texts."""
    if value is None:
        return 0.0
    if isinstance(value, str):
        try:
            return _WORDS[value] if value in _WORDS else parse_number(value)
        except ValueError as error:
            raise Rejected(Reason.WRONG_TYPE, str(error)) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(Reason.WRONG_TYPE, f"{str(value)[:64]!r} is no number")
    try:
        return float(value)
    except OverflowError:
        raise Rejected(Reason.NOT_FINITE, "a number beyond any float") from None


_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def pairs(attributes: list[KeyValue] | None) -> Pairs:
    return [(pair.key or "", _value(pair.value, MAX_DEPTH)) for pair in attributes or ()]


def _value(value: object, depth: int) -> Value:
    """Read an AnyValue: an object with one member, whose name is its kind."""
    if depth < 0:
        raise Rejected(Reason.TOO_LARGE, f"values nested more than {MAX_DEPTH} deep")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Rejected(Reason.WRONG_TYPE, "a value that is no object")
    for kind, content in value.items():
        if content is None:
            continue
        if kind in {"stringValue", "boolValue"}:
            if not isinstance(content, str if kind == "stringValue" else bool):
                raise Rejected(Reason.WRONG_TYPE, f"{kind} of another type")
            return content
        if kind == "intValue":
            return integer(content, negative=True)
        if kind == "doubleValue":
            return double(content)
        if kind == "bytesValue":
            return _bytes(content)
        if kind == "arrayValue":
            return [_value(item, depth - 1) for item in _values(content)]
        if kind == "kvlistValue":
            return dict(_pair(item, depth - 1) for item in _values(content))
    return None


def _values(content: object) -> list[Any]:
    values = content.get("values") if isinstance(content, dict) else content
    if values is None:
        return []
    if not isinstance(values, list):
        raise Rejected(Reason.WRONG_TYPE, "values that are no list")
    return values


def _pair(item: object, depth: int) -> tuple[str, Value]:
    key = item.get("key") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(key, str | None):
        raise Rejected(Reason.WRONG_TYPE, "a pair that is no object, or has no text as its key")
    return key or "", _value(item.get("value"), depth)


def _bytes(content: object) -> bytes:
    try:
        return b64decode(content, validate=True) if isinstance(content, str) else _no_bytes()
    except (Error, ValueError):
        return _no_bytes()


def _no_bytes() -> bytes:
    raise Rejected(Reason.WRONG_TYPE, "bytesValue that is no base64")
