"""Quantiles of classic histograms, as Prometheus' histogram_quantile computes them, for many histograms at once."""

from __future__ import annotations

import numpy as np

from models.detection.packed import Floats, Ints
from schemas.samples import LARGEST


def quantile(q: float, bounds: Floats, counts: Floats, buckets: Ints) -> Floats:
    """Interpolate linearly inside the bucket that the rank falls into.

    Args: q in (0, 1); bounds (n, width), each row's upper bounds in rising order, +inf from its last bucket on; counts (n, width),
    cumulative observations up to each bound; buckets (n,), how many a row has. Rows need observations and a bucket of +inf.
    The first bucket begins at 0 where its bound is positive; a rank in the +inf bucket gives the highest finite bound. Finite bounds
    beyond ±LARGEST count as that.
    Source: promql/quantile.go, bucketQuantile.
    """
    rows = np.arange(len(bounds))
    bounds = np.where(np.isinf(bounds), bounds, np.clip(bounds, -LARGEST, LARGEST))
    counts = np.maximum.accumulate(counts, axis=1)  # buckets that were read a moment apart may seem to fall
    last = buckets - 1
    rank = q * counts[rows, last]
    reached = counts >= rank[:, None]
    found = np.minimum(np.argmax(reached, axis=1), last)
    before = np.maximum(found - 1, 0)
    upper = bounds[rows, found]
    lower = np.where(found > 0, bounds[rows, before], 0.0)
    below = np.where(found > 0, counts[rows, before], 0.0)
    inside = counts[rows, found] - below
    highest = bounds[rows, np.maximum(last - 1, 0)]
    with np.errstate(invalid="ignore", divide="ignore"):
        linear = lower + (upper - lower) * ((rank - below) / inside)
    first = (found == 0) & (upper <= 0)
    return np.where(np.isinf(upper), np.where(np.isinf(highest), 0.0, highest), np.where(first | (inside <= 0), upper, linear))
