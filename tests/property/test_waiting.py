"""Rows that wait, by window: against a plain dict, however far ahead they are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection import rows
from models.detection.rows import ROW, WINDOWS, Waiting
from models.detection.waiting_kernel import end_of_window, give_back, put, sort, take_below, taken

AHEAD = st.sampled_from([0, 1, 2, 3, WINDOWS - 1, WINDOWS, WINDOWS + 1, 5 * WINDOWS])
# A row so many windows ahead of the oldest open one; so many windows close; the rows are saved, and taken up again; room is given back.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), AHEAD),
        st.tuples(st.just("close"), AHEAD),
        st.tuples(st.just("save"), st.just(0)),
        st.tuples(st.just("trim"), st.just(0)),
    )
)


@given(STEPS)
def test_a_window_gives_its_own_rows_and_every_row_comes_out_once(steps: list[tuple[str, int]]) -> None:
    waiting, closed, expected = Waiting(), 7, defaultdict[int, list[int]](list)
    for number, (what, windows) in enumerate(steps):
        waiting.ready(closed, 1)
        order = np.empty(len(waiting.room), np.int32)
        if what == "put":
            row = np.zeros(1, ROW)
            row["window"], row["raw"], row["offset"] = closed + windows, number % 3, number
            put(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], row[0])
            expected[closed + windows].append(number)
        elif what == "close":
            closed += windows
            count = take_below(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], closed, order)
            due: list[int] = []
            first = 0
            while first < count:
                end = end_of_window(waiting.room, order, first, count)
                places = order[first:end]
                give_back(waiting.links, waiting.shelf[0], places)
                sort(waiting.room, places)
                due += taken(waiting.room, places)["offset"].tolist()
                first = end
            assert due == [
                one for window in sorted(expected) if window < closed for one in sorted(expected.pop(window), key=lambda n: (n % 3, n))
            ]
        elif what == "save":
            waiting = Waiting(waiting.rows)
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rows, "_LEAST_ROOM", 1)
                waiting.trim()
            assert len(waiting.room) <= max(4, 4 * len(waiting))
        assert len(waiting) == sum(map(len, expected.values())) == len(waiting.rows) == len(waiting.raws)


def test_rows_that_come_together_lie_together_again_and_again() -> None:
    """Given windows whose rows come in another order than they are judged in, then the next window's rows have the places of the last."""
    waiting, row = Waiting(), np.zeros(1, ROW)
    waiting.ready(0, 8)
    order = np.empty(len(waiting.room), np.int32)
    for window in range(5):
        found = []
        for number, raw in enumerate((5, 2, 7, 0, 3, 6, 1, 4)):
            row["window"], row["raw"], row["offset"] = window, raw, number
            found.append(put(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], row[0]))
        assert found == list(range(8))
        places = order[: take_below(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], window + 1, order)]
        give_back(waiting.links, waiting.shelf[0], places)
        sort(waiting.room, places)
        assert taken(waiting.room, places)["raw"].tolist() == list(range(8))


def test_sources_may_be_four_hours_apart_before_rows_are_gone_through_again() -> None:
    """What is further ahead than windows have lists is in one, which is gone through each time that the windows have moved on by as many."""
    waiting, row = Waiting(), np.zeros(1, ROW)
    waiting.ready(0, 2)
    none = int(waiting.shelf["far"][0])
    row["window"] = 4 * 3600  # of a second each
    put(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], row[0])
    assert waiting.shelf["far"][0] == none
    row["window"] = WINDOWS
    put(waiting.room, waiting.links, waiting.heads, waiting.shelf[0], row[0])
    assert waiting.shelf["far"][0] != none
