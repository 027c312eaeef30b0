"""The probability of a residual at least as far out, from a decaying histogram and a prior, as compiled code."""

from __future__ import annotations

import math
from typing import Any

from models.compiled import compiled_bare
from models.surprise.past import BINS

USUAL_FREEDOM = 4.0
MOST_UNIT = 1e6  # far below what a 32-bit number holds
LEAST = 1e-300  # a probability below it counts as that: something is divided by it
RESOLUTION = 4.0  # bins a unit of asinh: 64 of them reach to ±1490 scales


@compiled_bare
def place_in(residual: float) -> float:
    """Return the place of a standardised residual among the bins, a fraction of one included; 0 is between the two middle ones."""
    return float(min(max(BINS / 2 + RESOLUTION * math.asinh(residual), 0.0), BINS - 1e-6))


@compiled_bare
def two_sided(histogram: Any, weight: float, unit: float, residual: float, place: float, prior: float, freedom: float) -> float:
    """Return twice the smaller of both tails' probabilities, at most 1. `place` is the residual's; `weight` and `unit` as of `count`.

    The histogram's counts beyond, and `prior` points' worth of a tail that falls as Student's t with so many degrees of freedom:
    (1 + r² / f)^(-f / 2) / 2. What was seen outweighs the prior as it gathers; where nothing was seen so far out, the prior says how much
    less likely further out is.
    """
    bin_, inside = int(place), place - int(place)
    tail = _tail(residual, freedom)
    own = histogram[bin_] / unit
    if residual > 0:  # on the side where there is less to add up
        near = _sum(histogram, bin_ + 1, BINS) / unit + own * (1.0 - 0.5 * inside)
    else:
        near = _sum(histogram, 0, bin_) / unit + own * (0.5 + 0.5 * inside)
    beyond = near + prior * tail
    other = weight - near + own * 0.5 + prior * (1.0 - tail)
    return float(min(1.0, max(LEAST, 2.0 * min(beyond, other) / (weight + prior))))


@compiled_bare
def _tail(residual: float, freedom: float) -> float:
    share = 1.0 / (1.0 + residual * residual / freedom)
    if freedom == USUAL_FREEDOM:  # a power costs as much as all the rest
        return float(0.5 * share * share)
    return float(0.5 * share ** (0.5 * freedom))


@compiled_bare
def _sum(histogram: Any, first: int, last: int) -> float:
    a = b = c = d = 0.0  # four, for each addition waits for the one before it
    i = first
    while i + 4 <= last:
        a += histogram[i]
        b += histogram[i + 1]
        c += histogram[i + 2]
        d += histogram[i + 3]
        i += 4
    while i < last:
        a += histogram[i]
        i += 1
    return a + b + c + d


@compiled_bare
def count(histogram: Any, weight: float, unit: float, place: float, memory: float, kept: float) -> tuple[float, float]:
    """Put a residual into the histogram, which forgets beyond its memory; return its weight, and what one count is in it from now on.

    To forget, the histogram does not shrink: what is put in grows, by 1 / `kept`, which is 1 - 1 / memory. A residual is shared between
    the two bins whose middles it is between, so that it matters little where bins begin (linear binning, Jones & Lotwick 1984).
    """
    lower = min(max(int(place - 0.5), 0), BINS - 2)
    share = min(max(place - 0.5 - lower, 0.0), 1.0)
    histogram[lower] += unit * (1.0 - share)
    histogram[lower + 1] += unit * share
    weight += 1.0
    if weight > memory:
        weight *= kept
        unit /= kept
        if unit > MOST_UNIT:
            for i in range(BINS):
                histogram[i] /= unit
            unit = 1.0
    return weight, unit
