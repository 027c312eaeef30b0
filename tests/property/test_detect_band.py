"""The bands around the median and around the anchor: z, what it is the distance from, and where the ordinary ends, agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection.band_kernel import NO_RELEASE, band_of, learn_slowly
from models.detection.judge import Slots, rule_of
from tests.unit.detect_feed import CONFIG

RULE = rule_of(CONFIG)
LEVELS = st.floats(-1e6, 1e6)
WIDTHS = st.floats(1, 1e5)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def blank() -> Any:
    table = Slots()
    row = table.take()
    return table.rows[row]


@st.composite
def rows(draw: st.DrawFn, known: bool = True) -> Any:
    one = Slots()
    row = one.take()
    one.base[row], one.anchor[row] = draw(LEVELS), draw(LEVELS)
    one.scale[row], one.anchor_scale[row], one.absolute[row] = draw(WIDTHS), draw(WIDTHS), draw(WIDTHS)
    one.relative[row] = draw(st.floats(0, 2))
    one.release[row] = draw(st.sampled_from([NO_RELEASE, 600_000]))
    one.anchored[row] = draw(st.floats(0.5, 1)) if known else draw(st.floats(0, 0.499))
    return one.rows[row]


@given(rows(), LEVELS)
def test_beyond_the_band_is_z_beyond_sigma_and_what_it_is_the_distance_from_lies_inside(one: Any, value: float) -> None:
    z, base, low, high = band_of(one, value, RULE)
    assert low < high
    assert base in (one["base"], one["anchor"])
    if abs(abs(z) - RULE.sigma) > 1e-6:
        assert (abs(z) > RULE.sigma) == (not low <= value <= high)
        assert abs(z) < RULE.sigma or (z > 0) == (value > base)


@given(rows(), LEVELS, LEVELS)
def test_the_further_up_the_higher_is_z_and_the_band_is_of_the_series_and_not_of_the_value(one: Any, value: float, other: float) -> None:
    less, more = (band_of(one, at, RULE) for at in sorted((value, other)))
    assert less[0] <= more[0] + 1e-9
    assert less[2:] == more[2:]


@given(rows(), LEVELS)
def test_an_anchor_widens_the_band_of_context_on_both_sides_and_that_of_harm_never_beyond_its_own(one: Any, value: float) -> None:
    _, _, low, high = band_of(one, value, RULE)
    bare = one.copy()
    bare["anchored"] = 0
    z, base, own_low, own_high = band_of(bare, value, RULE)
    assert base == one["base"]
    assert z == pytest.approx((value - base) / ((own_high - own_low) / 2 / RULE.sigma), rel=1e-6, abs=1e-6)
    if one["release"] != NO_RELEASE:
        assert low <= own_low < own_high <= high
    else:
        far = RULE.anchor_bands * max(RULE.sigma * one["anchor_scale"], one["relative"] * abs(one["anchor"]), one["absolute"])
        assert one["anchor"] - far <= low < high <= one["anchor"] + far


@given(rows(known=False), LEVELS)
def test_of_an_anchor_that_is_not_known_nothing_is_used(one: Any, value: float) -> None:
    bare = one.copy()
    bare["anchored"], bare["anchor"], bare["anchor_scale"] = 0, 0, 0
    assert band_of(one, value, RULE) == band_of(bare, value, RULE)


@given(st.lists(st.tuples(st.integers(-1000, 10 * HOUR_MS), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_an_anchor_is_a_mean_of_what_was_and_a_point_counts_for_a_minute_at_most(points: list[tuple[int, float]]) -> None:
    row = blank()
    for since, base in points:
        row["base"], row["scale"] = base, abs(base)
        before = row["anchored"]
        learn_slowly(row, since, RULE)
        assert before <= row["anchored"] <= before + MINUTE_MS / HOUR_MS * np.log(2) + 1e-9
    taken = [base for since, base in points if since > 0]
    if taken:
        assert min(taken) - 1e-6 <= row["anchor"] <= max(taken) + 1e-6
        assert row["anchor_scale"] <= max(map(abs, taken)) + 1e-6
    else:
        assert row["anchored"] == 0


def test_an_anchor_is_known_after_its_half_life_and_then_half_of_what_changes_is_in_it_after_another() -> None:
    row = blank()
    row["base"] = 100.0
    for _ in range(60):
        learn_slowly(row, MINUTE_MS, RULE)
    assert row["anchored"] == pytest.approx(0.5, abs=0.01)
    row["anchored"] = 1 - 1e-9  # long known
    row["base"] = 200.0
    for _ in range(60):
        learn_slowly(row, MINUTE_MS, RULE)
    assert row["anchor"] == pytest.approx(150, abs=1)
