"""The probability of a residual: what was seen, and what is believed where nothing was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.surprise.past import BINS
from models.surprise.tail_kernel import count, place_in, two_sided

RESIDUALS = st.floats(-1e6, 1e6)


def learned(residuals: list[float], memory: float = 1e9) -> tuple[np.ndarray, float, float]:
    histogram, weight, unit = np.zeros(BINS, np.float32), 0.0, 1.0
    for one in residuals:
        weight, unit = count(histogram, weight, unit, place_in(one), memory, 1 - 1 / memory)
    return histogram, weight, unit


def probability(seen: tuple[np.ndarray, float, float], residual: float) -> float:
    return float(two_sided(*seen, residual, place_in(residual), 10.0, 4.0))


@given(st.lists(RESIDUALS, max_size=50), RESIDUALS)
def test_it_is_a_probability(seen: list[float], residual: float) -> None:
    assert 0 < probability(learned(seen), residual) <= 1


@given(st.lists(st.floats(-20, 20), max_size=50), st.floats(30, 1000), st.floats(1.3, 10))
def test_beyond_all_that_was_seen_further_out_is_never_more_probable(seen: list[float], residual: float, further: float) -> None:
    near, far = probability(learned(seen), residual), probability(learned(seen), residual * further)
    assert far <= near * (1 + 1e-6)


def test_what_is_often_so_far_out_is_ordinary_and_what_never_was_is_not() -> None:
    seen = learned([0.1, -0.1] * 450 + [8.0] * 100)
    assert probability(seen, 8.0) > 0.05
    assert probability(seen, -8.0) < 1e-3


def test_a_histogram_forgets_at_the_pace_of_its_memory() -> None:
    found = learned([5.0] * 100 + [0.0] * 2000, memory=200.0)
    assert abs(found[1] - 200) < 2
    assert probability(found, 5.0) < 0.01


def test_what_is_put_in_may_grow_and_begin_anew_and_counts_stay_what_they_are() -> None:
    histogram, weight, unit = learned([0.0, 3.0] * 3000, memory=200.0)
    assert unit < 1e6
    assert abs(float(histogram.sum()) / unit - weight) < 0.1
    assert abs(float(histogram[BINS // 2 + 2 :].sum()) / unit / weight - 0.5) < 0.01
