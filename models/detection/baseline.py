"""A robust baseline: median and spread over a packed ring of ordinary points, a row per series.

Scale = max(1.4826 · MAD, 1.2533 · mean absolute deviation): both estimate the standard deviation of a normal distribution
(Rousseeuw & Croux 1993; Geary 1935). The first withstands contamination up to half of the points; the second is there where more
than half of the points are equal and the first is 0. Departures enter the ring clipped to the band, or not at all (judge.py).
"""

from __future__ import annotations

import numpy as np

from models.compiled import compiled_bare
from models.detection.packed import Places, Singles

MAD_TO_SIGMA = 1.4826
MEAN_AD_TO_SIGMA = 1.2533
MOST = float(np.finfo(np.float32).max)  # in a ring: what is beyond it counts as it, for +inf is none yet


@compiled_bare
def push(ring: Singles, order: Places, place: int, value: float) -> None:
    """Put a value at a place of the ring, for the one that is there; keep the order.

    Args: ring (n,), no NaN, +inf where there is no value yet; order (n,), the places of the ring by rising value.
    """
    ring[place] = min(max(value, -MOST), MOST)
    ring[place] += 0.0  # no -0: equal values are the same, whichever stands first
    kept = ring[place]  # as it was rounded, for by that the order is
    last = len(ring) - 1
    at = 0
    while order[at] != place:
        at += 1
    while at < last and ring[order[at + 1]] < kept:
        order[at] = order[at + 1]
        at += 1
    while at > 0 and ring[order[at - 1]] > kept:
        order[at] = order[at - 1]
        at -= 1
    order[at] = place


@compiled_bare
def median_and_scale(ring: Singles, order: Places, filled: int) -> tuple[float, float]:
    """Return the median and the scale of the first values of a ring.

    Args: ring (n,) and its order (n,) as `push` leaves them; filled in 1 … n, how many values there are, at the first places.
    """
    half = filled // 2
    center = np.float64(ring[order[half]])
    if filled % 2 == 0:
        center = (ring[order[half - 1]] + center) / 2
    return center, max(
        MAD_TO_SIGMA * _median_distance(ring, order, filled, center), MEAN_AD_TO_SIGMA * _mean_distance(ring[:filled], center)
    )


@compiled_bare
def _median_distance(ring: Singles, order: Places, filled: int, center: float) -> float:
    """Return the median of the distances from the center: they rise from the middle of the order in both directions.

    Looked for is how many of those up to the median lie on the left, by halving: to walk there waits for each step's value.
    """
    half = filled // 2
    wanted = half + 1
    low, high = wanted - (filled - half), half
    while low < high:
        left = (low + high) // 2
        nearer = center - ring[order[half - 1 - left]] < ring[order[half + wanted - left - 1]] - center
        low, high = left + 1 if nearer else low, high if nearer else left
    left, right = low, wanted - low
    below = center - ring[order[half - left]] if left > 0 else -np.inf
    above = ring[order[half + right - 1]] - center
    newest = max(below, above)
    if filled % 2:
        return float(newest)
    if below > above:
        before = max(center - ring[order[half - left + 1]] if left > 1 else -np.inf, above)
    else:
        before = max(below, ring[order[half + right - 2]] - center if right > 1 else -np.inf)
    return float((before + newest) / 2)


@compiled_bare
def _mean_distance(values: Singles, center: float) -> float:
    total = other = 0.0  # two, for each addition waits for the one before it
    for i in range(0, len(values) - 1, 2):
        total += abs(values[i] - center)
        other += abs(values[i + 1] - center)
    if len(values) % 2:
        total += abs(values[-1] - center)
    return (total + other) / len(values)
