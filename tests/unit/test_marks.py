"""High-water marks: a repeat is dropped, a log that begins anew is taken."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from models.detection.admit_kernel import begins_anew
from models.marks import Mark, Standing, judge

T0 = 1_795_489_200_000


def run(*records: tuple[int, int], patience: int = 1) -> list[Standing]:
    mark: Mark | None = None
    found = []
    for offset, at in records:
        mark, standing = judge(mark, (offset, 0), T0 + at, patience)
        found.append(standing)
    return found


def test_what_stands_at_or_below_the_mark_and_was_taken_is_a_repeat() -> None:
    assert run((5, 0), (6, 10), (5, 0), (6, 10), (7, 5)) == [Standing.NEW] * 2 + [Standing.REPEAT] * 2 + [Standing.NEW]


def test_a_log_that_counts_from_zero_again_is_taken_from_its_first_newer_record() -> None:
    assert run((1000, 0), (0, 10), (1, 20), (0, 10)) == [Standing.NEW, Standing.RESTARTED, Standing.NEW, Standing.REPEAT]


def test_with_patience_one_straggler_is_no_new_log() -> None:
    doubt = Standing.DOUBTFUL
    assert run((1000, 0), (3, 10), (999, 0), (4, 10), (5, 11), (6, 12), patience=3) == [
        *(Standing.NEW, doubt, Standing.REPEAT, doubt, doubt, Standing.RESTARTED)
    ]
    assert run((1000, 0), (3, 10), (3, 10), (3, 10), patience=3).count(Standing.RESTARTED) == 0


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(1, 3), st.data())
def test_a_repeated_stretch_is_never_taken_for_a_new_log(times: list[int], patience: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(times)))
    back = data.draw(st.integers(0, cut))
    taken = [*enumerate(times[:cut]), *list(enumerate(times))[back:cut], *list(enumerate(times))[cut:]]

    found = run(*taken, patience=patience)
    assert found == [Standing.NEW] * cut + [Standing.REPEAT] * (cut - back) + [Standing.NEW] * (len(times) - cut)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=20, unique_by=lambda row: row[0]),
    st.integers(0, 30),
    st.integers(1, 30),
)
def test_of_a_batch_the_same_record_begins_the_log_anew_as_one_by_one(rows: list[tuple[int, int]], place: int, newest: int) -> None:
    rows.sort(key=lambda row: row[0])  # a batch is in source order
    mark, expected = Mark((place, 0), T0 + newest), None
    for index, (offset, at) in enumerate(rows):
        mark, standing = judge(mark, (offset, 0), T0 + at)
        if standing is Standing.RESTARTED:
            expected = index
            break
    offsets, times = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    found = begins_anew(place, T0 + newest, offsets, T0 + times, 0, len(rows))
    assert (None if found == len(rows) else found) == expected
    assert begins_anew(place, 0, offsets, T0 + times, 0, len(rows)) == len(rows)
