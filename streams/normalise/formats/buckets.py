"""Histograms of any layout as classic cumulative buckets: what the pipeline reads quantiles from.

Exponential buckets, Prometheus' native histograms and OpenTelemetry's alike, have bounds at powers of 2**(2**-schema). Lowering the
schema by n merges each 2**n of them exactly, index i into ((i - 1) >> n) + 1 (targetIdx in prometheus/model/histogram/
float_histogram.go), and every bound of a lower schema is a bound of the higher ones: so a histogram that had to be lowered goes on
counting in the same series, only in fewer of them. Leaving out a bound of a cumulative histogram changes none of the others.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from schemas.samples import LARGEST

FINEST = 1  # a factor of 1.41 from bound to bound: finer ones say nothing that a quantile of a few percent's precision needs
MAX_BOUNDS = 200  # series that one histogram may become, beside +Inf

_SQRT_HALF = 0.7071067811865475  # exponentialBounds[1] in prometheus/model/histogram/generic.go: the same bound to the last bit


class Bucket(NamedTuple):
    le: str
    total: float  # observations in this bucket and all below it


class Exponential(NamedTuple):
    """Counts by index: index i of the positive ones covers (bound(i - 1), bound(i)], of the negative ones its mirror image."""

    schema: int
    positive: Mapping[int, float]
    negative: Mapping[int, float]
    zero_threshold: float  # the zero bucket covers as much on both sides of 0
    zero_count: float


@lru_cache(4096)
def bound_text(bound: float) -> str:
    """Write a bound so that the same one is always the same text: the shortest that reads back as it, a point always there."""
    return "+Inf" if bound == math.inf else repr(bound + 0.0)  # -0.0 is the bound 0


def bound_of(index: int, schema: int) -> float:
    """Return the upper bound of a bucket, for a schema of at most 1 (getBoundExponential in generic.go)."""
    if schema > 0:
        fraction, exponent = (_SQRT_HALF if index & 1 else 0.5), (index >> 1) + 1
    else:
        fraction, exponent = 0.5, (index << -schema) + 1
    if exponent > 1024:  # the last bound before the infinite one would be 2**1024, which is no float
        return sys.float_info.max if fraction == 0.5 and exponent == 1025 else math.inf
    return math.ldexp(fraction, exponent)


def exponential(found: Exponential, count: float) -> list[Bucket]:
    """Return at most MAX_BOUNDS buckets and +Inf's: every bound from the lowest populated bucket to the highest."""
    schema, positive, negative = _lowered(found)
    spans: list[tuple[float | None, float, float]] = []  # lower bound (None: says nothing), upper bound, count
    for index in _run(negative, step=-1):
        spans.append((-bound_of(index, schema), -bound_of(index - 1, schema), negative.get(index, 0)))
    if found.zero_count:
        # Without a negative observation Prometheus reads the zero bucket as [0, threshold], as classic quantiles do anyway.
        spans.append((-found.zero_threshold if negative else None, found.zero_threshold, found.zero_count))
    for index in _run(positive, step=1):
        spans.append((bound_of(index - 1, schema), bound_of(index, schema), positive.get(index, 0)))
    return _written(_cumulative(spans), count)


def explicit(bounds: list[float], counts: Iterable[float], count: float) -> list[Bucket]:
    """Return the buckets of these bounds, which rise; thinned evenly where they are too many."""
    step = -(-len(bounds) // MAX_BOUNDS)
    total = 0.0
    found: list[tuple[float, float]] = []
    for index, (bound, content) in enumerate(zip(bounds, counts, strict=False)):
        total += content
        if (index + 1) % step == 0:
            found.append((bound, total))
    return _written(found, count)


def _written(found: list[tuple[float, float]], count: float) -> list[Bucket]:
    """Cut counts at the count of all: sums of fractions round. What lies beyond any bound that counts is left to +Inf."""
    buckets = [Bucket(bound_text(bound), float(min(total, count))) for bound, total in found if abs(bound) <= LARGEST]
    return [*buckets, Bucket(bound_text(math.inf), float(count))]


def _lowered(found: Exponential) -> tuple[int, dict[int, float], dict[int, float]]:
    edges = [(min(counts), max(counts)) for counts in (found.positive, found.negative) if counts]
    shift = max(found.schema - FINEST, 0)
    while sum(_target(highest, shift) - _target(lowest, shift) + 2 for lowest, highest in edges) > MAX_BOUNDS - 2:  # two: the zero bucket's
        shift += 1
    return found.schema - shift, _merged(found.positive, shift), _merged(found.negative, shift)


def _merged(counts: Mapping[int, float], shift: int) -> dict[int, float]:
    merged: dict[int, float] = {}
    for index, count in counts.items():
        target = _target(index, shift)
        merged[target] = merged.get(target, 0) + count
    return merged


def _target(index: int, shift: int) -> int:
    return (index - 1 >> shift) + 1


def _run(counts: Mapping[int, float], step: int) -> Iterator[int]:
    """Yield every index from the lowest populated one to the highest, or the other way."""
    if counts:
        lowest, highest = min(counts), max(counts)
        yield from range(lowest, highest + 1) if step > 0 else range(highest, lowest - 1, -1)


def _cumulative(spans: list[tuple[float | None, float, float]]) -> list[tuple[float, float]]:
    """Return rising bounds with what lies below them; where two spans overlap, the upper one's count is at the higher bound."""
    total = 0.0
    found: list[tuple[float, float]] = []
    for lower, upper, count in spans:
        if lower is not None and (not found or lower > found[-1][0]):
            found.append((lower, total))
        total += count
        if not found or upper > found[-1][0]:
            found.append((upper, total))
        else:
            found[-1] = (found[-1][0], total)
    return found
