"""The account of a load: which rows it counts, and that each thing that may go wrong with one is seen."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.kinds import Kind
from streams.detect import stage
from streams.harness.snapshots import Snapshot
from tests.faults.load.account import Fold, Rows, compared
from tests.faults.load.behind import Delays, Found
from tests.faults.load.roles import Pids
from tests.unit.detect_feed import CONFIG, T0, Log, series

A = series("shop", Kind.LATENCY)


def rows(*batches: tuple[int, int, list[int]], size: int = 4) -> tuple[int, int]:
    found = Rows({0: size, 1: 0})
    for partition, source, offsets in batches:
        found.take(partition, source, np.array(offsets, np.uint64))
    return found.lost, found.doubled


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([(0, 0, [0, 1]), (0, 0, [2, 3])], (0, 0)),
        ([(0, 0, [0, 2]), (1, 0, [1, 3])], (0, 0)),
        ([(0, 0, [0, 1]), (0, 0, [0, 1, 2]), (0, 0, [3])], (0, 0)),  # repeated after a crash: below the mark
        ([(0, 0, [0, 1]), (0, 0, [3])], (1, 0)),
        ([(0, 0, [0, 1, 2, 3]), (1, 0, [3])], (0, 1)),  # two partitions count one sample
        ([(0, 0, [0, 1, 1, 2, 3])], (0, 1)),
        ([(0, 0, [1, 2, 3]), (0, 0, [0])], (1, 0)),  # out of order: detect drops it
    ],
)
def test_each_raw_record_is_to_have_one_row_above_the_mark_of_its_source(
    batches: list[tuple[int, int, list[int]]], expected: tuple[int, int]
) -> None:
    assert rows(*batches) == expected


def test_a_saved_state_that_is_not_that_of_the_log_is_told() -> None:
    detect, log = stage(CONFIG), Log().define(A).rows([(A, T0 + 1000 * second, 1.0) for second in range(60)])
    whole = detect.restore(None)
    for record in log.records:
        detect.apply(whole, record, record.timestamp)
    saved = Snapshot(log.records[-1].offset, 1, detect.snapshot(whole))
    partition = log.records[0].partition
    fold, short = Fold(detect, {partition: saved}), Fold(detect, {partition: saved})
    for record in log.records:
        fold.take(record)
    for record in log.records[:-1]:
        short.take(record)
    assert (fold.differing(), len(short.differing())) == ([], 1)
    assert Fold(detect, {9: saved}).differing() == ["detect's state of partition 9 is not what a linear replay gives"]


def test_a_signal_that_is_missing_or_another_is_told() -> None:
    wanted, due = {"a": b"1", "b": b"2"}, {"a"}
    assert compared(wanted, due, {"a": {b"1"}, "b": {b"2"}}) == (0, 0)
    assert compared(wanted, due, {"a": {b"1"}}) == (0, 0)  # the other is not due
    assert compared(wanted, due, {"b": {b"2"}}) == (1, 0)
    assert compared(wanted, due, {"a": {b"1"}, "b": {b"2", b"3"}, "c": {b"4"}}) == (0, 2)


def test_a_role_that_is_another_process_than_at_the_beginning_is_told() -> None:
    begun = {"detect": 10, "sink": 11}
    assert Pids(begun).changed({"detect": (10, 0), "sink": (11, 0)}) == []
    assert Pids(begun).changed({"detect": (10, 0), "sink": (12, 1)}) == [
        "sink ended in the course: process 11 became 12, started again 1 times"
    ]
    assert Pids(begun).changed({"detect": (None, 0), "sink": (11, 0)}) == [
        "detect ended in the course: process 10 became None, started again 0 times"
    ]
    assert Pids(begun).changed({"detect": (10, 2), "sink": (11, 0)}) == [
        "detect ended in the course: process 10 became 10, started again 2 times"
    ]


def of(rows: dict[float, float], readings: dict[float, float], unsent: int = 0) -> list[str]:
    """Return what is late where control was behind from 100 to 200."""
    return Found(Delays(rows, readings), unsent, 100.0, 200.0, 5, 50.0).late()


def test_rows_and_readings_that_come_late_while_control_is_behind_are_told() -> None:
    usual = {50.0: 40.0, 80.0: 13.0}  # the first waited for detect to begin
    assert of({150.0: 1.0}, {**usual, 150.0: 14.0}) == []
    assert of({150.0: 1.0, 250.0: 9.0}, {**usual, 150.0: 14.0}) == []  # it had caught up by then
    assert of({150.0: 3.0}, {**usual, 150.0: 14.0}) == ["rows took up to 3.0 s while control was behind"]
    assert of({150.0: 1.0}, {**usual, 150.0: 16.0}) == ["readings took up to 16.0 s while control was behind, 13.0 s before"]
    assert of({150.0: 1.0}, {150.0: 14.0}) == ["no reading came before control was stopped"]
    assert of({}, usual) == ["no row came while control was behind", "no reading came while control was behind"]
    assert of({150.0: 1.0}, {**usual, 150.0: 14.0}, unsent=2) == ["2 seconds of samples have no row"]
