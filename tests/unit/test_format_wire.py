"""The wire format of protobuf: what is found in it, and what is no message."""

from __future__ import annotations

import struct

import pytest

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.wire import (
    I32,
    I64,
    LEN,
    VARINT,
    double,
    doubles,
    fields,
    put,
    put_varint,
    signed,
    signed32,
    tag,
    text,
    varint,
    varints,
    zigzag,
    zigzag32,
)


def found(data: bytes) -> list[tuple[int, bytes, int]]:
    return [(key, data[start:end], value) for key, _, start, end, value in fields(data)]


def test_each_kind_of_field_is_found_with_its_payload() -> None:
    message = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25\x01\x02\x03\x04"

    assert found(message) == [
        (tag(1, VARINT), b"\x96\x01", 150),
        (tag(2, I64), bytes(8), 0),
        (tag(3, LEN), b"hi", 0),
        (tag(4, I32), b"\x01\x02\x03\x04", 0),
    ]


def test_only_the_bytes_between_start_and_end_are_the_message() -> None:
    assert [field[2:4] for field in fields(b"\xff\x0a\x01a\xff", 1, 4)] == [(3, 4)]


@pytest.mark.parametrize(
    "broken",
    [
        b"\x08",  # a varint that is not there
        b"\x08\x80",  # one that does not end
        b"\x08" + b"\x80" * 10 + b"\x00",  # of eleven bytes, though it is 0
        b"\x08" + b"\xff" * 9 + b"\x02",  # of 65 bits
        b"\x11" + bytes(7),
        b"\x25" + bytes(3),
        b"\x0a\x02a",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length that as an int64 is negative
        b"\x0b\x0c",  # a group
        b"\x0c",
        b"\x0e",
        b"\x0f",
        b"\x00\x00",  # number 0
        b"\x80\x80\x80\x80\x10\x00",  # number 2**29
        b"\x80",
    ],
)
def test_what_is_cut_short_or_a_group_or_has_no_number_is_rejected(broken: bytes) -> None:
    with pytest.raises(Rejected):
        found(broken)


def test_a_field_does_not_reach_beyond_its_message() -> None:
    with pytest.raises(Rejected, match="2 bytes where 1 are left"):
        list(fields(b"\x0a\x02ab", 0, 3))
    with pytest.raises(Rejected):
        list(fields(b"\x08\x80\x01", 0, 2))


def test_the_largest_varint_has_ten_bytes_and_the_largest_number_of_a_field_five() -> None:
    assert varint(b"\xff" * 9 + b"\x01", 0, 10) == (2**64 - 1, 10)
    assert found(b"\xf8\xff\xff\xff\x0f\x07") == [(tag(2**29 - 1, VARINT), b"\x07", 7)]


def test_numbers_are_read_by_their_declared_type() -> None:
    assert (signed(2**64 - 1), signed(2**63 - 1), signed32(2**64 - 1), signed32(5)) == (-1, 2**63 - 1, -1, 5)
    assert [zigzag(value) for value in (0, 1, 2, 3, 2**64 - 1)] == [0, -1, 1, -2, -(2**63)]
    assert zigzag32(2**32 - 1) == -(2**31)


def test_packed_lists_are_read_to_their_end_and_no_further() -> None:
    assert varints(b"\x01\x96\x01\x00", 0, 4) == [1, 150, 0]
    assert doubles(struct.pack("<2d", 1.5, -2.0), 0, 16) == [1.5, -2.0]
    with pytest.raises(Rejected):
        varints(b"\x01\x80\x01", 0, 2)
    with pytest.raises(Rejected):
        doubles(bytes(9), 0, 9)


def test_a_nan_keeps_its_bits() -> None:
    bits = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"

    assert struct.pack("<d", double(bits, 0)) == bits


def test_text_that_is_not_utf_8_is_rejected() -> None:
    assert text("a–b".encode(), 0, 5) == "a–b"
    with pytest.raises(Rejected) as refused:
        text(b"a\xff", 0, 2)
    assert refused.value.rejection.reason is Reason.WRONG_TYPE


def test_what_is_written_reads_back() -> None:
    assert found(put(2000, b"x" * 300)) == [(tag(2000, LEN), b"x" * 300, 0)]
    assert [found(put(number, b"x" * size)) for number, size in ((15, 127), (15, 128), (16, 127))] == [
        [(tag(15, LEN), b"x" * 127, 0)],
        [(tag(15, LEN), b"x" * 128, 0)],
        [(tag(16, LEN), b"x" * 127, 0)],
    ]
    assert put_varint(300) == b"\xac\x02"
