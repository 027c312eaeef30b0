"""Protobuf's wire format, read without a schema: varints, fixed widths and length-delimited fields.

https://protobuf.dev/programming-guides/encoding/ : a message is a run of fields, each a tag (number << 3 | kind) and its payload.
A known number with another kind is an unknown field, and skipped, as protobuf's own parsers do. Groups were never used by the
formats read here, and are refused: skipping them would need nesting without bound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from streams.normalise.fates import Reason, Rejected

VARINT, I64, LEN, I32 = 0, 1, 2, 5
BROKEN = Reason.NOT_JSON  # the reason for bytes that are not of their format at all
LAST_NUMBER = 2**29 - 1  # of a field

Field = tuple[int, int, int, int, int]  # tag, where it begins, where the payload starts and ends, the value of a varint

_DOUBLE = struct.Struct("<d")
_FIXED64 = struct.Struct("<Q")


def tag(number: int, kind: int) -> int:
    return number << 3 | kind


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields of one message; raise Rejected where the next one cannot be found."""
    at = start
    end = len(data) if end is None else end
    while at < end:
        begin = at
        found = data[at]
        if found < 0x80:
            at += 1
        else:
            found, at = varint(data, at, end)
        if not 8 <= found <= LAST_NUMBER << 3 | 7:
            raise Rejected(BROKEN, f"byte {begin}: no field has the number {found >> 3}")
        kind = found & 7
        value = 0
        if kind == LEN:
            size, at = _size(data, at, end)
        elif kind == VARINT:
            value, after = varint(data, at, end)
            size = after - at
        elif kind == I64:
            size = 8
        elif kind == I32:
            size = 4
        else:
            raise Rejected(BROKEN, f"byte {begin}: a field of wire type {kind}")
        if size > end - at:
            raise Rejected(BROKEN, f"byte {begin}: a field of {size} bytes where {end - at} are left")
        yield found, begin, at, at + size, value
        at += size


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned number below 2**64 and where it ends."""
    value = shift = 0
    for index in range(at, min(at + 10, end)):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise Rejected(BROKEN, f"byte {at}: a varint of more than 64 bits")
            return value, index + 1
        shift += 7
    raise Rejected(BROKEN, f"byte {at}: a varint without an end")


def varints(data: bytes, start: int, end: int) -> list[int]:
    """Read a packed repeated field."""
    found: list[int] = []
    at = start
    while at < end:
        value = data[at]
        if value < 0x80:
            at += 1
        else:
            value, at = varint(data, at, end)
        found.append(value)
    return found


def double(data: bytes, at: int) -> float:
    """Read eight bytes that are there; a NaN keeps its bits."""
    value: float = _DOUBLE.unpack_from(data, at)[0]
    return value


def doubles(data: bytes, start: int, end: int) -> list[float]:
    """Read a packed repeated field."""
    return [value for (value,) in _DOUBLE.iter_unpack(_eights(data, start, end))]


def fixed64(data: bytes, at: int) -> int:
    """Read eight bytes that are there, as an unsigned number."""
    value: int = _FIXED64.unpack_from(data, at)[0]
    return value


def fixed64s(data: bytes, start: int, end: int) -> list[int]:
    """Read a packed repeated field."""
    return [value for (value,) in _FIXED64.iter_unpack(_eights(data, start, end))]


def signed(value: int) -> int:
    """Return the int64 of a varint."""
    return value - 2**64 if value >> 63 else value


def signed32(value: int) -> int:
    """Return the int32 of a varint, of which protobuf keeps the low bits."""
    value &= 0xFFFF_FFFF
    return value - 2**32 if value >> 31 else value


def zigzag(value: int) -> int:
    """Return the sint64 of a varint."""
    return value >> 1 ^ -(value & 1)


def zigzag32(value: int) -> int:
    """Return the sint32 of a varint, of which protobuf keeps the low bits."""
    return zigzag(value & 0xFFFF_FFFF)


def text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.WRONG_TYPE, f"{data[start : min(end, start + 32)]!r} is not UTF-8") from None


def put_varint(value: int) -> bytes:
    """Write a number that is not negative."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def put(number: int, payload: bytes) -> bytes:
    """Write a length-delimited field."""
    if number < 16 and len(payload) < 0x80:  # one byte each: labels are written once a series and record
        return bytes((tag(number, LEN), len(payload))) + payload
    return put_varint(tag(number, LEN)) + put_varint(len(payload)) + payload


def _size(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    return varint(data, at, end)


def _eights(data: bytes, start: int, end: int) -> bytes:
    if (end - start) % 8:
        raise Rejected(BROKEN, f"byte {start}: {end - start} bytes are no list of eights")
    return data[start:end]
