"""The probability of a residual: what was seen, and what is believed where nothing was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.surprise.past import BINS
from models.surprise.tail_kernel import count, place_in, two_sided

RESIDUALS = st.floats(-1e6, 1e6)


def learned(residuals: list[float], memory: float = 1e9) -> tuple[np.ndarray, float]:
    histogram, weight = np.zeros(BINS, np.float32), 0.0
    for one in residuals:
        weight = count(histogram, weight, place_in(one), 1 - 1 / memory, memory)
    return histogram, weight


@given(st.lists(RESIDUALS, max_size=50), RESIDUALS)
def test_it_is_a_probability(seen: list[float], residual: float) -> None:
    histogram, weight = learned(seen)
    assert 0 < two_sided(histogram, weight, residual, place_in(residual), 10.0, 4.0) <= 1


@given(st.lists(st.floats(-20, 20), max_size=50), st.floats(30, 1000), st.floats(1.3, 10))
def test_beyond_all_that_was_seen_further_out_is_never_more_probable(seen: list[float], residual: float, further: float) -> None:
    histogram, weight = learned(seen)
    near = two_sided(histogram, weight, residual, place_in(residual), 10.0, 4.0)
    far = two_sided(histogram, weight, residual * further, place_in(residual * further), 10.0, 4.0)
    assert far <= near * (1 + 1e-6)


def test_what_is_often_so_far_out_is_ordinary_and_what_never_was_is_not() -> None:
    histogram, weight = learned([0.1, -0.1] * 450 + [8.0] * 100)
    assert two_sided(histogram, weight, 8.0, place_in(8.0), 10.0, 4.0) > 0.05
    assert two_sided(histogram, weight, -8.0, place_in(-8.0), 10.0, 4.0) < 1e-3


def test_a_histogram_forgets_at_the_pace_of_its_memory() -> None:
    histogram, weight = learned([5.0] * 100 + [0.0] * 2000, memory=200.0)
    assert abs(weight - 200) < 2
    assert two_sided(histogram, weight, 5.0, place_in(5.0), 10.0, 4.0) < 0.01
