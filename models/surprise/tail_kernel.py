"""The probability of a residual at least as far out, from a decaying histogram and a prior, as compiled code."""

from __future__ import annotations

import math
from typing import Any

from models.compiled import compiled_bare
from models.surprise.past import BINS

RESOLUTION = 4.0  # bins a unit of asinh: 64 of them reach to ±1490 scales


@compiled_bare
def place_in(residual: float) -> float:
    """Return the place of a standardised residual among the bins, a fraction of one included; 0 is between the two middle ones."""
    return float(min(max(BINS / 2 + RESOLUTION * math.asinh(residual), 0.0), BINS - 1e-6))


@compiled_bare
def two_sided(histogram: Any, weight: float, residual: float, place: float, prior: float, freedom: float) -> float:
    """Return twice the smaller of both tails' probabilities, at most 1. `place` is the residual's.

    The histogram's counts beyond, and `prior` points' worth of a tail that falls as Student's t with so many degrees of freedom:
    (1 + r² / f)^(-f / 2) / 2. What was seen outweighs the prior as it gathers; where nothing was seen so far out, the prior says how much
    less likely further out is.
    """
    bin_, inside = int(place), place - int(place)
    tail = 0.5 * (1.0 + residual * residual / freedom) ** (-0.5 * freedom)
    near = 0.0  # on the side where there is less to add up
    if residual > 0:
        for i in range(bin_ + 1, BINS):
            near += histogram[i]
        near += histogram[bin_] * (1.0 - 0.5 * inside)
    else:
        for i in range(bin_):
            near += histogram[i]
        near += histogram[bin_] * (0.5 + 0.5 * inside)
    beyond = near + prior * tail
    other = weight - near + histogram[bin_] * 0.5 + prior * (1.0 - tail)
    return float(min(1.0, 2.0 * min(beyond, other) / (weight + prior)))


@compiled_bare
def count(histogram: Any, weight: float, place: float, kept: float, memory: float) -> float:
    """Put a residual into the histogram, which forgets beyond its memory; return the histogram's weight. `kept`: 1 - 1 / memory.

    It is shared between the two bins whose middles it is between, so that it matters little where bins begin (linear binning, Jones &
    Lotwick 1984).
    """
    lower = min(max(int(place - 0.5), 0), BINS - 2)
    share = min(max(place - 0.5 - lower, 0.0), 1.0)
    histogram[lower] += 1.0 - share
    histogram[lower + 1] += share
    weight += 1.0
    if weight > memory:
        for i in range(BINS):
            histogram[i] *= kept
        weight *= kept
    return weight
