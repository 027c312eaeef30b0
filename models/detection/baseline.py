"""A robust baseline: median and spread over a packed ring of ordinary points, a row per series.

Scale = max(1.4826 · MAD, 1.2533 · mean absolute deviation): both estimate the standard deviation of a normal distribution
(Rousseeuw & Croux 1993; Geary 1935). The first withstands contamination up to half of the points; the second is there where more
than half of the points are equal and the first is 0. Departures enter the ring clipped to the band, or not at all (judge.py).
"""

from __future__ import annotations

import numpy as np

from models.detection.packed import Floats, Ints

MAD_TO_SIGMA = 1.4826
MEAN_AD_TO_SIGMA = 1.2533


def median_and_scale(ring: Floats, filled: Ints) -> tuple[Floats, Floats]:
    """Return the median and the scale of each row.

    Args: ring (rows, width), unused places at the end of a row hold +inf; filled (rows,), how many places are used, ≥ 1.
    """
    rows = np.arange(len(ring))
    middle = _middle(np.sort(ring, axis=1), rows, filled)
    apart = np.abs(ring - middle[:, None])
    mean = np.where(np.isinf(ring), 0.0, apart).sum(axis=1) / filled
    mad = _middle(np.sort(apart, axis=1), rows, filled)
    return middle, np.maximum(MAD_TO_SIGMA * mad, MEAN_AD_TO_SIGMA * mean)


def _middle(ordered: Floats, rows: Ints, filled: Ints) -> Floats:
    middle: Floats = (ordered[rows, (filled - 1) // 2] + ordered[rows, filled // 2]) / 2
    return middle
