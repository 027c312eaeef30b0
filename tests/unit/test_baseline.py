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


@given(st.lists(st.one_of(st.floats(-9, 9), st.just(np.inf)), min_size=5, max_size=5))
def test_the_order_of_a_ring_comes_back_with_it(values: list[float]) -> None:
    table, other = (widened(Slots(), ring=5) for _ in range(2))
    row = table.take()
    table.ring[row] = values
    other.load(table.dump())
    assert [table.ring[row][place] for place in other.order[row]] == sorted(values)
    assert other.take() == 1
    assert other.order[1].tolist() == [0, 1, 2, 3, 4], "nothing is in it yet"
