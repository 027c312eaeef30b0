"""The robust baseline against its definition: the ring in order, median and spread of what it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection.baseline import MAD_TO_SIGMA, MEAN_AD_TO_SIGMA, median_and_scale, push
from models.detection.judge import Slots
from models.detection.packed import widened

VALUES = st.lists(st.one_of(st.floats(-1e30, 1e30), st.integers(-3, 3).map(float)), min_size=1, max_size=60)


@given(st.integers(1, 12), VALUES)
def test_the_baseline_is_median_and_spread_of_the_newest_points(width: int, values: list[float]) -> None:
    ring, order = np.full(width, np.inf), np.arange(width, dtype=np.uint16)
    for i, value in enumerate(values):
        push(ring, order, i % width, value)
        kept = np.array(values[: i + 1][-width:])
        assert sorted(kept) == [ring[place] for place in order[: len(kept)]]
        assert sorted(order.tolist()) == list(range(width))
        center, scale = median_and_scale(ring, order, len(kept))
        apart = np.abs(kept - np.median(kept))
        assert center == np.median(kept)
        assert scale == pytest.approx(max(MAD_TO_SIGMA * np.median(apart), MEAN_AD_TO_SIGMA * apart.mean()))


ANY = st.lists(
    st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, -1e-60, 1.0, 1.0 + 1e-9, 1e300, -1e300])),
    min_size=1,
    max_size=40,
)


@given(st.integers(1, 12), ANY, st.integers(0, 40))
def test_a_ring_of_four_bytes_goes_on_after_a_restart_as_it_would_have(width: int, values: list[float], cut: int) -> None:
    """Values that are the same in four bytes, and none too large for them: what is computed does not depend on which stands first."""
    tables = [widened(Slots(), ring=width) for _ in range(2)]
    row = tables[0].take()
    for i, value in enumerate(values):
        if i == min(cut, len(values) - 1):
            tables[1].load(tables[0].dump())
        found = []
        for table in tables[: 1 + (i >= min(cut, len(values) - 1))]:
            ring, order = table.ring[row], table.order[row]
            push(ring, order, i % width, value)
            assert np.all(np.diff(ring[order][: min(i + 1, width)].astype(np.float64)) >= 0)
            found.append(np.array([*ring, *median_and_scale(ring, order, min(i + 1, width))]).tobytes())
        assert len(set(found)) == 1
        assert np.isfinite(tables[0].ring[row][: i + 1]).all()


def test_rings_of_eight_bytes_of_a_release_before_are_read() -> None:
    table = widened(Slots(), ring=5)
    before = np.array([[0.1, 1e300, -1e300, np.inf, np.inf]])
    table.load({"used": 1, "free": [], "ring": (before.dtype.str, list(before.shape), before.tobytes())})
    most = np.finfo(np.float32).max
    assert table.ring[0].tolist() == [np.float32(0.1), most, -most, np.inf, np.inf], "and what was none yet is none"
    assert table.order[0].tolist() == [2, 0, 1, 3, 4]


@given(st.lists(st.one_of(st.floats(-9, 9, width=32), st.just(np.inf)), min_size=5, max_size=5))
def test_the_order_of_a_ring_comes_back_with_it(values: list[float]) -> None:
    table, other = (widened(Slots(), ring=5) for _ in range(2))
    row = table.take()
    table.ring[row] = values
    other.load(table.dump())
    assert [table.ring[row][place] for place in other.order[row]] == sorted(values)
    assert other.take() == 1
    assert other.order[1].tolist() == [0, 1, 2, 3, 4], "nothing is in it yet"
