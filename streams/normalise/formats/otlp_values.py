"""OpenTelemetry's attribute values as text, the way pdata's AsString of the collector writes them.

https://opentelemetry.io/docs/specs/otel/common/#mapping-arbitrary-data-to-otlp-anyvalue ; a text is itself, numbers are decimal, bytes are
base64, arrays and maps are JSON. go.opentelemetry.io/collector/pdata/pcommon/value.go
"""

from __future__ import annotations

import json
import math
from base64 import b64encode

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.wire import I64, LEN, VARINT, double, fields, signed, tag, text

MAX_DEPTH = 16  # of arrays and maps within each other

Value = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None
Pairs = list[tuple[str, Value]]

_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _BYTES = (
    tag(number, kind) for number, kind in enumerate((LEN, VARINT, VARINT, I64, LEN, LEN, LEN), 1)
)
_KEY, _VALUE, _ITEM = tag(1, LEN), tag(2, LEN), tag(1, LEN)


def value_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return _not_finite(value)
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def read_pair(data: bytes, start: int, end: int, depth: int = MAX_DEPTH) -> tuple[str, Value]:
    """Read a KeyValue."""
    key, value = "", None
    for found, _, begin, stop, _ in fields(data, start, end):
        if found == _KEY:
            key = text(data, begin, stop)
        elif found == _VALUE:
            value = read_value(data, begin, stop, depth)
    return key, value


def read_value(data: bytes, start: int, end: int, depth: int = MAX_DEPTH) -> Value:
    """Read an AnyValue; of its kinds the last one written counts."""
    if depth < 0:
        raise Rejected(Reason.TOO_LARGE, f"values nested more than {MAX_DEPTH} deep")
    value: Value = None
    for found, _, begin, stop, number in fields(data, start, end):
        if found == _STRING:
            value = text(data, begin, stop)
        elif found == _BOOL:
            value = number != 0
        elif found == _INT:
            value = signed(number)
        elif found == _DOUBLE:
            value = double(data, begin)
        elif found == _ARRAY:
            value = [read_value(data, low, high, depth - 1) for item, _, low, high, _ in fields(data, begin, stop) if item == _ITEM]
        elif found == _MAP:
            value = dict(read_pair(data, low, high, depth - 1) for item, _, low, high, _ in fields(data, begin, stop) if item == _ITEM)
        elif found == _BYTES:
            value = data[begin:stop]
    return value


def _plain(value: Value) -> Value:
    """Return what JSON can write: a whole number without its point, as JavaScript and Go do."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return _not_finite(value)
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
