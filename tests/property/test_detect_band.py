"""The bands around the median and around the anchor: z, what it is the distance from, and where the ordinary ends, agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection.band_kernel import NO_RELEASE, band_of, learn_slowly
from models.detection.judge import Slots, rule_of
from models.detection.rules import Rules
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
def rows(draw: st.DrawFn, known: bool = True) -> tuple[Any, Any]:
    """Draw a row and its rule."""
    one, own = blank(), Rules().rows[0]
    one["base"], one["anchor"] = draw(LEVELS), draw(LEVELS)
    for name in ("scale", "anchor_scale", "anchor_swing"):
        one[name] = draw(WIDTHS)
    own["absolute"], own["relative"] = draw(WIDTHS), draw(st.floats(0.1, 2))
    own["release"], one["judged"] = draw(st.sampled_from([NO_RELEASE, 600_000])), draw(st.booleans())
    one["anchored"] = draw(st.floats(0.5, 1)) if known else draw(st.floats(0, 0.499))
    one["away"] = draw(st.sampled_from([0, RULE.dip - 1, RULE.dip]))
    one["sign"] = draw(st.sampled_from([-1, 0, 1]))
    return one, own


def bare(one: Any) -> Any:
    found = one.copy()
    found["anchored"] = 0
    return found


def test_between_a_median_and_an_anchor_whose_band_it_is_beyond_a_value_departs_from_the_anchor() -> None:
    one, own = blank(), Rules().rows[0]
    one["base"], one["anchor"], one["sign"], one["judged"], own["release"] = 4, -8, 0, True, NO_RELEASE
    one["scale"] = one["anchor_scale"] = one["anchor_swing"] = one["anchored"] = own["absolute"] = 1
    one["away"], own["relative"] = RULE.dip, 0.25
    z, base, _, high = band_of(one, own, 0.0, RULE)
    assert high < 0
    assert (z > 0, base) == (True, -8)


@given(rows(), LEVELS)
def test_beyond_the_band_in_the_bad_direction_is_z_beyond_sigma(row: tuple[Any, Any], value: float) -> None:
    one, own = row
    z, base, low, high = band_of(one, own, value, RULE)
    assert low < high
    bad = abs(z) if one["sign"] == 0 else z * one["sign"]
    beyond = (value > high and one["sign"] >= 0) or (value < low and one["sign"] <= 0)
    if abs(bad - RULE.sigma) > 1e-6:
        assert bad > RULE.sigma or not beyond
        assert beyond or bad < RULE.sigma or one["sign"] == 0, "of what is bad both ways, a median beyond the anchor's band is not inside"
    if beyond:
        assert (value > base) == (value > high), "it departs from what it is told to depart from"
    else:
        assert base == one["base"] or bad < 0


@given(rows(), LEVELS, LEVELS)
def test_the_further_up_the_higher_is_z_and_the_band_is_of_the_series_and_not_of_the_value(
    row: tuple[Any, Any], value: float, other: float
) -> None:
    one, own = row
    less, more = (band_of(one, own, at, RULE) for at in sorted((value, other)))
    if one["sign"] != 0 or one["away"] < RULE.dip:
        assert less[0] <= more[0] + 1e-9
    assert less[2:] == more[2:]


@given(rows(), LEVELS)
def test_an_anchor_excuses_while_a_dip_is_short_and_condemns_harm_alone(row: tuple[Any, Any], value: float) -> None:
    one, own = row
    z, base, own_low, own_high = band_of(bare(one), own, value, RULE)
    assert base == one["base"]
    assert z == pytest.approx((value - base) / ((own_high - own_low) / 2 / RULE.sigma), rel=1e-6, abs=1e-6)
    _, _, low, high = band_of(one, own, value, RULE)
    wide = max(RULE.sigma * one["anchor_scale"], own["relative"] * abs(one["anchor"]), own["absolute"])
    if one["away"] < RULE.dip:
        own_low, own_high = min(own_low, one["anchor"] - wide), max(own_high, one["anchor"] + wide)
    if own["release"] == NO_RELEASE and one["judged"]:
        far = RULE.anchor_bands * max(wide, one["anchor_swing"])
        own_high = min(own_high, one["anchor"] + far) if one["sign"] != -1 else own_high
        own_low = max(own_low, one["anchor"] - far) if one["sign"] != 1 else own_low
        own_low, own_high = (one["anchor"] - far, one["anchor"] + far) if own_low >= own_high else (own_low, own_high)
    assert (low, high) == pytest.approx((own_low, own_high))


@given(rows(known=False), LEVELS)
def test_of_an_anchor_that_is_not_known_nothing_is_used_nor_where_there_is_no_relative_band(row: tuple[Any, Any], value: float) -> None:
    one, own = row
    assert band_of(one, own, value, RULE) == band_of(bare(one), own, value, RULE)
    one["anchored"], own["relative"] = 1, 0
    assert band_of(one, own, value, RULE) == band_of(bare(one), own, value, RULE)


@given(st.lists(st.tuples(st.integers(-1000, 10 * HOUR_MS), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_an_anchor_is_a_mean_of_what_was_and_a_point_counts_for_a_minute_at_most(points: list[tuple[int, float]]) -> None:
    row, own = blank(), Rules().rows[0]
    for since, base in points:
        row["base"], row["scale"] = base, abs(base)
        before = row["anchored"]
        learn_slowly(row, own, since, RULE)
        assert before <= row["anchored"] <= before + MINUTE_MS / HOUR_MS * np.log(2) + 1e-6
    taken = [base for since, base in points if since > 0]
    if taken:
        assert min(taken) - 1e-6 <= row["anchor"] <= max(taken) + 1e-6
        assert row["anchor_scale"] <= max(map(abs, taken)) * (1 + 1e-6)
        assert row["anchor_swing"] <= (max(taken) - min(taken)) * (1 + 1e-6)
    else:
        assert row["anchored"] == 0


def test_an_anchor_is_known_after_its_half_life_and_then_half_of_what_changes_is_in_it_after_another() -> None:
    row, own = blank(), Rules().rows[0]
    row["base"] = 100.0
    for _ in range(60):
        learn_slowly(row, own, MINUTE_MS, RULE)
    assert row["anchored"] == pytest.approx(0.5, abs=0.01)
    row["anchored"] = 1 - 1e-7  # long known
    row["base"] = 200.0
    for _ in range(60):
        learn_slowly(row, own, MINUTE_MS, RULE)
    assert row["anchor"] == pytest.approx(150, abs=1)
