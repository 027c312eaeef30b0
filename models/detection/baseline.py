"""A robust baseline: median and spread over a packed ring of ordinary points, a row per series.

Scale = max(1.4826 · MAD, 1.2533 · mean absolute deviation): both estimate the standard deviation of a normal distribution
(Rousseeuw & Croux 1993; Geary 1935). The first withstands contamination up to half of the points; the second is there where more
than half of the points are equal and the first is 0. Departures enter the ring clipped to the band, or not at all (judge.py).
"""

from __future__ import annotations

from models.compiled import compiled
from models.detection.packed import Floats

MAD_TO_SIGMA = 1.4826
MEAN_AD_TO_SIGMA = 1.2533


@compiled
def median_and_scale(points: Floats) -> tuple[float, float]:
    """Return the median and the scale of these points.

    Args: points (n,), n ≥ 1, finite.
    """
    apart = points.copy()
    center = _median(apart)
    total = 0.0
    for i in range(len(apart)):
        apart[i] = abs(apart[i] - center)
        total += apart[i]
    return center, max(MAD_TO_SIGMA * _median(apart), MEAN_AD_TO_SIGMA * total / len(apart))


@compiled
def _median(points: Floats) -> float:
    """Return the median; reorders the points."""
    upper = _select(points, len(points) // 2)
    if len(points) % 2:
        return upper
    lower = points[0]  # what stands before the upper middle is not greater
    for i in range(1, len(points) // 2):
        lower = max(lower, points[i])
    return float(lower + upper) / 2


@compiled
def _select(points: Floats, k: int) -> float:
    """Return what would stand at place k if all were sorted; no greater one is left before it (Hoare 1961, Find)."""
    low, high = 0, len(points) - 1
    while low < high:
        pivot, i, j = points[k], low, high
        while i <= j:
            while points[i] < pivot:
                i += 1
            while points[j] > pivot:
                j -= 1
            if i <= j:
                points[i], points[j] = points[j], points[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if i > k:
            high = j
    return float(points[k])
