"""Quantiles of classic histograms, as Prometheus' histogram_quantile computes them."""

from __future__ import annotations

import numpy as np

from models.compiled import compiled_bare
from models.detection.packed import Floats
from schemas.samples import LARGEST


@compiled_bare
def quantile(q: float, bounds: Floats, counts: Floats, buckets: int) -> float:
    """Interpolate linearly inside the bucket that the rank falls into.

    Args: q in (0, 1); bounds (width,), upper bounds in rising order, +inf from the last bucket on; counts (width,), of either kind of
    float, cumulative observations up to each bound; buckets, how many there are. There must be observations and a bucket of +inf.
    The first bucket begins at 0 where its bound is positive; a rank in the +inf bucket gives the highest finite bound. Finite bounds
    beyond ±LARGEST count as that.
    Source: promql/quantile.go, bucketQuantile.
    """
    last = buckets - 1
    # Buckets that were read a moment apart may seem to fall: a count is at least that of the bounds below it.
    total = 0.0
    for i in range(buckets):
        total = max(total, counts[i])
    rank = q * total
    found, below, reached = 0, 0.0, float(counts[0])
    while found < last and reached < rank:
        found += 1
        below = reached
        reached = max(reached, counts[found])
    upper = bounds[found]
    if np.isinf(upper):
        return 0.0 if last == 0 or np.isinf(bounds[last - 1]) else _bound(bounds[last - 1])
    upper = _bound(upper)
    inside = reached - below
    if (found == 0 and upper <= 0) or inside <= 0:
        return upper
    lower = _bound(bounds[found - 1]) if found else 0.0
    return float(lower + (upper - lower) * ((rank - below) / inside))


@compiled_bare
def _bound(bound: float) -> float:
    return float(min(max(bound, -LARGEST), LARGEST))
