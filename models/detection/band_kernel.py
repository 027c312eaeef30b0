"""The bands of a series, as compiled code: around the median of its last minutes, and around its anchor, a slow mean of that median.

A median follows whatever lasts for half of its minutes, up and down. So a point is out of the ordinary where it is beyond the bands of
both: to come back from a dip that the median followed is none. And of harm, which is no matter of the hour, also where it is beyond
`anchor_bands` times the anchor's band alone: what grows slowly takes its median with it, but not its anchor. Until an anchor has learned
for its half-life nothing is known of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.compiled import compiled_bare

NO_RELEASE = 2**62  # of harm: what lasts does not become ordinary by that
_KNOWN = 0.5  # the weight of an anchor after its half-life


class Rule(NamedTuple):
    """What is configured for all series alike; times in ms."""

    sigma: float
    leave_share: float
    min_history: int
    pace: int  # at which points enter a baseline that is full
    anchor_rate: float  # a ms
    anchor_most: int  # for so long one point counts
    anchor_bands: float


@compiled_bare
def band_of(one: Any, value: float, rule: Any) -> tuple[float, float, float, float]:
    """Return the z of a value, what it is the distance from, and the lowest and the highest ordinary value: between them |z| < sigma."""
    sigma, base = rule.sigma, one.base
    width = max(sigma * one.scale, _floor(one, base))
    z, low, high = (value - base) / (width / sigma), base - width, base + width
    if one.anchored < _KNOWN:
        return z, base, low, high
    anchor = one.anchor
    width = max(sigma * one.anchor_scale, _floor(one, anchor))
    slow = (value - anchor) / (width / sigma)
    nearer = abs(slow) < abs(z)
    base = anchor if nearer else base
    z = 0.0 if z * slow <= 0 else slow if nearer else z
    low, high = min(low, anchor - width), max(high, anchor + width)
    if one.release == NO_RELEASE:
        far, width = slow / rule.anchor_bands, rule.anchor_bands * width
        if abs(far) > abs(z):
            z, base = far, anchor
        low, high = max(low, anchor - width), min(high, anchor + width)
    return z, base, low, high


@compiled_bare
def _floor(one: Any, middle: float) -> float:
    return float(max(one.relative * abs(middle), one.absolute))


@compiled_bare
def learn_slowly(one: Any, since: int, rule: Any) -> None:
    """Let the median, and its scale, into the anchor: means with a half-life, of what there was so far where that is less.

    Args: since, ms since the point before.
    """
    rate = rule.anchor_rate * min(since, rule.anchor_most)
    if rate <= 0:
        return
    one.anchored += rate * (1 - one.anchored)
    share = rate / one.anchored
    one.anchor += share * (one.base - one.anchor)
    one.anchor_scale += share * (one.scale - one.anchor_scale)
