"""The times of a series' newest points, as gaps: what they were is what is told, also of a snapshot that held the times themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.detection.judge import Slots
from models.detection.newest import FURTHEST, note_point, set_times, set_values, time_of, times_of, values_of
from models.detection.packed import Ints
from schemas.config.detect import MAX_POINTS
from tests.unit.detect_feed import T0

NEAR = st.lists(st.integers(-10_000, 86_400_000), min_size=MAX_POINTS, max_size=3 * MAX_POINTS)  # ms between points


def table_of(times: Ints) -> Slots:
    table = Slots()
    row = table.take()
    for at in times:
        note_point(table.rows[row], at, float(at % 1000))
    return table


@given(NEAR)
def test_times_of_points_are_what_they_were(gaps: list[int]) -> None:
    times = T0 + np.cumsum(gaps)
    table = table_of(times)
    newest = times[-MAX_POINTS:].tolist()
    assert times_of(table)[0].tolist() == newest
    assert [time_of(table.rows[0], place) for place in range(MAX_POINTS)] == newest
    assert values_of(table)[0].tolist() == [float(at % 1000) for at in newest]
    set_times(table, np.minimum(times_of(table), T0))
    assert times_of(table)[0].tolist() == np.minimum(newest, T0).tolist()


def test_a_gap_of_months_counts_as_the_longest_and_what_follows_it_has_its_time() -> None:
    table = table_of(np.array([T0, T0 + 2 * FURTHEST, T0 + 2 * FURTHEST + 5]))
    assert times_of(table)[0, -3:].tolist() == [T0 + FURTHEST, T0 + 2 * FURTHEST, T0 + 2 * FURTHEST + 5]


def test_a_snapshot_of_a_release_that_kept_each_time_is_read() -> None:
    times = T0 + np.arange(2 * MAX_POINTS).reshape(2, MAX_POINTS) * 1000
    table = Slots()
    table.load({"used": 2, "free": [], "times": (times.dtype.str, list(times.shape), times.tobytes())})
    assert np.array_equal(times_of(table), times)


def test_a_snapshot_of_a_release_that_kept_all_values_wide_is_read_and_an_older_one_stays_a_finite_number() -> None:
    values = np.arange(2.0 * MAX_POINTS).reshape(2, MAX_POINTS) + 1 / 3
    values[0, 0] = -1e300
    table = Slots()
    table.load({"used": 2, "free": [], "values": (values.dtype.str, list(values.shape), values.tobytes())})
    assert values_of(table)[:, -1].tolist() == values[:, -1].tolist()
    assert values_of(table)[0, 0] == np.finfo(np.float32).min
    np.testing.assert_allclose(values_of(table)[:, 1:], values[:, 1:], rtol=1e-7)
    set_values(table, values_of(table))
    assert table.older.itemsize == 4
