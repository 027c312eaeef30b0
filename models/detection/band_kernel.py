"""The bands of a series, as compiled code: around the median of its last minutes, and around its anchor, a slow mean of that median.

A median follows whatever lasts for half of its minutes, up and down. So a point is out of the ordinary where it is beyond the bands of
both: to come back from a dip that the median followed for a short while is none. And of harm also where it is beyond `anchor_bands` times
the anchor's band alone: what grows slowly takes its median with it, but not its anchor. The anchor's band is as wide as the median usually
swings around it, so that memory that fills and is freed every hour stays inside. Until an anchor has learned for its half-life nothing is
known of it; and what has no relative band (up, restarts) has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.compiled import compiled_bare

NO_RELEASE = 2**62  # of harm: what lasts does not become ordinary by that
_KNOWN = 0.5  # the weight of an anchor after its half-life
_ROUNDED = 1e-6  # of a median: its digits are no departure, however narrow a band is configured
_FALLS = 4  # times: so far above the scale of now the anchor's is at most: a few wild points at the beginning are not remembered for hours


class Rule(NamedTuple):
    """What is configured for all series alike; times in ms."""

    sigma: float
    leave_share: float
    min_history: int
    pace: int  # at which points enter a baseline that is full
    anchor_rate: float  # a ms
    anchor_most: int  # for so long one point counts
    anchor_bands: float
    dip: int  # so long at most lasts what is come back from


@compiled_bare
def band_of(one: Any, own: Any, value: float, rule: Any) -> tuple[float, float, float, float]:
    """Return the z of a value, the baseline that it departs from, and the lowest and the highest ordinary value.

    In the bad direction |z| reaches sigma where these are passed. Moves with the value in one direction; the limits do not.

    Args: one, the row of a series; own, how it is judged (rules.OWN); rule, what is configured for all.
    """
    sigma, base = rule.sigma, one.base
    width = _width(own, base, one.scale, sigma)
    z, low, high = (value - base) / (width / sigma), base - width, base + width
    if one.anchored < _KNOWN or own.relative == 0:
        return z, base, low, high
    anchor, width = one.anchor, _width(own, one.anchor, one.anchor_scale, sigma)
    if one.away < rule.dip:
        slow = (value - anchor) / (width / sigma)
        z = 0.0 if z * slow <= 0 else slow if abs(slow) < abs(z) else z
        low, high = min(low, anchor - width), max(high, anchor + width)
    if one.judged and own.release == NO_RELEASE:
        width, sign = rule.anchor_bands * max(width, one.anchor_swing), one.sign
        far = (value - anchor) / (width / sigma)
        if abs(far) > abs(z) if sign == 0 else far * sign > z * sign:
            z = far
            base = anchor if abs(far) >= sigma else base
        if sign != -1:
            high = min(high, anchor + width)
        if sign != 1:
            low = max(low, anchor - width)
        if low >= high:  # the median itself is beyond them
            low, high = anchor - width, anchor + width
            if sign == 0 and abs(far) >= sigma:  # between the two: what it is beyond of is the anchor's band
                z, base = far, anchor
    return z, base, low, high


@compiled_bare
def _width(own: Any, middle: float, scale: float, sigma: float) -> float:
    return float(max(sigma * scale, max(own.relative, _ROUNDED) * abs(middle), own.absolute))


@compiled_bare
def learn_slowly(one: Any, own: Any, since: int, rule: Any) -> None:
    """Let the median, its scale and its distance from the anchor into that: means with a half-life, of all there was while that is less.

    Args: since, ms since the point before.
    """
    since = min(since, rule.anchor_most)
    if since <= 0:
        return
    off, sign = one.base - one.anchor, one.sign
    width = _width(own, one.anchor, one.anchor_scale, rule.sigma)
    better = abs(off) > width if sign == 0 else off * sign < -width
    one.away = one.away + since if better and one.anchored > 0 else 0
    rate, first = rule.anchor_rate * since, one.anchored == 0
    one.anchored += rate * (1 - one.anchored)
    share = 1.0 if first else rate / one.anchored
    one.anchor_swing += share * ((0.0 if first else abs(off)) - one.anchor_swing)
    one.anchor += share * off
    one.anchor_scale += share * (one.scale - one.anchor_scale)
    one.anchor_scale = min(one.anchor_scale, _FALLS * one.scale)
