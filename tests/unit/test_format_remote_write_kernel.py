"""The fast path of remote_write gives what the reference gives, or leaves the record to it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streams.normalise.formats.key_table import ROOM, UNKNOWN, KeyTable
from streams.normalise.formats.remote_write_kernel import read_columns
from streams.normalise.formats.staleness import STALE
from tests.unit.prometheus_messages import V1, request, series
from tests.unit.remote_write_agreement import agrees

UP = {"__name__": "up", "instance": "a:1", "job": "shop"}
BAD = b"\x0a\x03\x12\x01\x09"  # a sample whose value is cut short


def test_samples_of_many_requests_become_rows_in_their_order() -> None:
    first = request(series(UP, (1000, 1.0), (2000, -0.0)), series({"__name__": "x"}, (3000, 5e-324)))
    second = request(series({"__name__": "y"}, (-4000, math.inf)))

    columns = read_columns([first, b"", second])

    assert columns.record.tolist() == [0, 0, 0, 2]
    assert columns.at.tolist() == [1000, 2000, 3000, -4000]
    assert columns.value.tolist() == [1.0, 0.0, 5e-324, math.inf]
    assert agrees(first, b"", second) == [False] * 3


def test_no_records_are_no_rows() -> None:
    assert len(read_columns([]).at) == 0


def test_a_marker_of_staleness_keeps_its_bits() -> None:
    columns = read_columns([request(series(UP, (1, STALE), (2, math.nan)))])

    assert columns.value.view(np.uint64).tolist() == [0x7FF0000000000002, 0x7FF8000000000000]


def test_metadata_and_exemplars_are_passed_over() -> None:
    found = series(UP, (1, 1.0))
    found.exemplars.add(value=1)

    assert agrees(V1["WriteRequest"](timeseries=[found], metadata=[{"type": 1}]).SerializeToString()) == [False]


def test_samples_before_their_labels_have_them_too() -> None:
    labels = V1["TimeSeries"](labels=series(UP).labels).SerializeToString()
    sample = V1["TimeSeries"](samples=[{"value": 3, "timestamp": 4}]).SerializeToString()

    assert agrees(b"\x0a" + bytes([len(sample + labels)]) + sample + labels) == [False]


@pytest.mark.parametrize(
    "record",
    [
        BAD,
        request(series(UP, histograms=(V1["Histogram"](),))),
        request(series(UP, (1, 1.0))) + b"\x20\x01",  # an unknown field
        request(series(UP, (1, 1.0)))[:-1],
        b"\x0a\x0e\x0a\x02\x0a\x00\x12\x02\x10\x04\x0a\x02\x0a\x00\x0a\x00",  # labels on both sides of a sample
        b"\x0a\x03\x12\x01\x10",
        b"\x0a\x0d\x12\x0b\x10" + b"\xff" * 9 + b"\x02",  # a time of more than 64 bits
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b",
        request(series({"__name__": "x" * 70_000}, (1, 1.0))),
    ],
)
def test_whatever_else_a_record_has_it_is_left_alone_and_the_others_are_read(record: bytes) -> None:
    good = request(series(UP, (1, 1.0)))

    assert agrees(good, good + record if record[0] == 0x0A else record, good) == [False, True, False]


def test_room_is_made_for_records_of_samples_alone() -> None:
    dense = b"\x0a\xa0\x1f" + b"\x12\x00" * 2000

    assert agrees(dense, dense) == [False, False]


def test_a_key_has_the_slot_that_it_was_given_wherever_it_stands() -> None:
    records = [request(*[series({"__name__": "x", "n": str(number)}, (1, 1.0), (2, 2.0)) for number in range(5000)])] * 2
    columns = read_columns(records)
    table = KeyTable(seed=7)

    assert set(table.find(columns.data, columns.key_start, columns.key_end).tolist()) == {UNKNOWN}
    slots = [table.add(columns.key(row)) for row in range(0, 10_000, 2)]

    assert slots == list(range(5000)) == [table.add(columns.key(row)) for row in range(0, 10_000, 2)]
    assert table.find(columns.data, columns.key_start, columns.key_end).tolist() == [number for number in range(5000) for _ in range(2)] * 2
    assert len(table) == 5000


def test_keys_of_every_length_are_told_apart() -> None:
    table = KeyTable(seed=1)
    keys = [b"", *[bytes(length) for length in range(1, 40)], *[bytes(length) + b"\x01" for length in range(40)]]

    assert [table.add(key) for key in keys] == list(range(len(keys)))
    assert [table.add(key) for key in keys] == list(range(len(keys)))


@pytest.mark.parametrize("count", [1_000, 1_025, 40_000, 131_073])
def test_a_table_is_at_most_half_full_and_has_little_room_that_is_empty(count: int) -> None:
    table = KeyTable(seed=1)
    data = np.arange(count, dtype=np.uint64).view(np.uint8)
    starts = np.arange(0, 8 * count, 8)
    for first in range(0, count, 1_000):
        rows = slice(first, first + 1_000)
        table.add_all(data, starts[rows], starts[rows] + 8)

    assert table.find(data, starts, starts + 8).tolist() == list(range(count))
    assert len(table) == count <= len(table.arrays.hashes) <= max(ROOM, 5 * count // 4 + 1_000)
    assert 2 * count <= len(table.arrays.table) <= max(2 * ROOM, 4 * count + 4_000)


def test_long_keys_are_told_apart_and_take_no_more_room() -> None:
    table = KeyTable(seed=1)
    room = table.arrays.hashes.nbytes + table.arrays.table.nbytes

    assert [table.add(b"a" * 60_000), table.add(b"b" * 60_000), table.add(b"a" * 60_000)] == [0, 1, 0]
    assert table.arrays.hashes.nbytes + table.arrays.table.nbytes == room


@pytest.mark.parametrize(("length", "expected"), [(0, "e77ebcb22788a5befd62db6add303001"), (15, "c17e5505b2bd526c2921cdec1e7e0109")])
def test_a_key_is_known_by_128_bits_of_siphash_1_3(length: int, expected: str) -> None:
    """Of a reference in Python that gives the published vectors of SipHash-2-4."""
    table = KeyTable(int.from_bytes(bytes(range(16)), "little"))
    table.add(bytes(range(length)))

    assert table.arrays.hashes[0].tobytes().hex() == expected


def test_keys_of_which_half_the_hash_agrees_are_told_apart() -> None:
    for half in (0, 1):
        table = KeyTable(seed=1)
        columns = read_columns([request(series({"__name__": "y"}, (1, 1.0)))])
        slot = table.add(columns.key(0))
        table.arrays.hashes[slot, half] ^= 1  # as another key of this half would be stored

        assert table.find(columns.data, columns.key_start, columns.key_end).tolist() == [UNKNOWN]


def test_one_key_behind_two_prefixes_is_two_and_no_prefix_is_part_of_the_key() -> None:
    table = KeyTable(seed=1)
    data, starts = np.frombuffer(b"abc", np.uint8), np.array([0, 1, 2])
    ends = np.full(3, 3)
    found = [table.add_all(data, starts, ends, prefix).tolist() for prefix in (b"", b"a", b"ab", b"a")]

    assert found == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [3, 4, 5]]
    assert table.find(data, starts, ends, b"ab").tolist() == [6, 7, 8]
