"""OTLP's data points, whatever encoding they came in, as samples.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/ and opentelemetry/proto/metrics/v1/metrics.proto . A point that says that no
value was recorded ends its series, as in the collector's pkg/translator/prometheusremotewrite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.buckets import Bucket, Exponential, bound_text, explicit, exponential
from streams.normalise.formats.otlp_keys import Kind, put_part
from streams.normalise.formats.port import Sample
from streams.normalise.formats.staleness import STALE

NO_RECORDED_VALUE = 1  # DataPointFlags
COARSEST, FINEST = -10, 20  # scales: the data model's minimum and default maximum

_MS = 1_000_000  # nanoseconds


class Temporality(IntEnum):
    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


class Head(NamedTuple):
    """What every data point has. `key` is its series', without any part."""

    key: bytes
    nanos: int
    flags: int

    @property
    def at(self) -> int | None:
        return self.nanos // _MS or None

    @property
    def stale(self) -> bool:
        return self.flags & NO_RECORDED_VALUE != 0


class Distribution(NamedTuple):
    """A histogram's explicit buckets."""

    observations: int
    sum: float | None
    counts: list[int]
    bounds: list[float]


class ExponentialDistribution(NamedTuple):
    observations: int
    sum: float | None
    scale: int
    zero_count: int
    zero_threshold: float
    positive: tuple[int, list[int]]  # offset, counts
    negative: tuple[int, list[int]]


class Quantiles(NamedTuple):
    observations: int
    sum: float
    values: list[tuple[float, float]]


def sum_kind(temporality: int, *, monotonic: bool) -> Kind:
    if _is_delta(temporality):
        return Kind.DELTA_COUNTER if monotonic else Kind.DELTA_UP_DOWN
    return Kind.COUNTER if monotonic else Kind.UP_DOWN


def histogram_kind(temporality: int) -> Kind:
    return Kind.DELTA_HISTOGRAM if _is_delta(temporality) else Kind.HISTOGRAM


def number(head: Head, value: float | None) -> list[Sample]:
    if head.stale:
        value = STALE
    if value is None:
        raise Rejected(Reason.MISSING_FIELD, "no value")
    return [Sample(head.key, head.at, value)]


def histogram(head: Head, found: Distribution) -> list[Sample]:
    bounds, counts = found.bounds, found.counts
    if any(not low < high for low, high in pairwise(bounds)) or not all(map(math.isfinite, bounds)):
        raise Rejected(Reason.WRONG_TYPE, "bounds that do not rise, or are not finite")
    if (counts and len(counts) != len(bounds) + 1) or (bounds and not counts and not head.stale):
        raise Rejected(Reason.WRONG_TYPE, f"{len(counts)} buckets and {len(bounds)} bounds")
    if sum(counts) > found.observations and not head.stale:
        raise Rejected(Reason.WRONG_TYPE, f"{sum(counts)} observations in the buckets of {found.observations}")
    return _distribution(head, explicit(bounds, counts or [0] * len(bounds), found.observations), found.observations, found.sum)


def exponential_histogram(head: Head, found: ExponentialDistribution) -> list[Sample]:
    if not COARSEST <= found.scale <= FINEST:
        raise Rejected(Reason.WRONG_TYPE, f"scale {found.scale}, known are {COARSEST} to {FINEST}")
    if not found.zero_threshold >= 0:
        raise Rejected(Reason.WRONG_TYPE, f"a zero bucket of {found.zero_threshold}")
    inside = found.zero_count + sum(found.positive[1]) + sum(found.negative[1])
    if inside > found.observations and not head.stale:
        raise Rejected(Reason.WRONG_TYPE, f"{inside} observations in the buckets of {found.observations}")
    positive, negative = _counts(*found.positive), _counts(*found.negative)
    buckets = exponential(Exponential(found.scale, positive, negative, found.zero_threshold, found.zero_count), found.observations)
    return _distribution(head, buckets, found.observations, found.sum)


def summary(head: Head, found: Quantiles) -> list[Sample]:
    if any(not 0 <= quantile <= 1 for quantile, _ in found.values):
        raise Rejected(Reason.WRONG_TYPE, "a quantile outside of 0 to 1")
    samples = [_part(head, put_part("", bound_text(quantile)), value) for quantile, value in found.values]
    return [*samples, *_totals(head, found.observations, found.sum)]


def _distribution(head: Head, buckets: Iterable[Bucket], count: int, total: float | None) -> list[Sample]:
    return [*[_part(head, put_part("_bucket", bucket.le), bucket.total) for bucket in buckets], *_totals(head, count, total)]


def _totals(head: Head, count: int, total: float | None) -> list[Sample]:
    """Return what a distribution has beside its parts; the marker of its end has no sum, but the series before it may have had."""
    samples = [_part(head, put_part("_count"), float(count))]
    return samples if total is None and not head.stale else [*samples, _part(head, put_part("_sum"), total or 0.0)]


def _part(head: Head, part: bytes, value: float) -> Sample:
    return Sample(head.key + part, head.at, STALE if head.stale else value)


def _counts(offset: int, counts: list[int]) -> dict[int, float]:
    """Return counts by Prometheus' index, whose bucket 0 ends at 1 where OpenTelemetry's begins there."""
    return {offset + position + 1: count for position, count in enumerate(counts) if count}


def _is_delta(temporality: int) -> bool:
    if temporality not in (Temporality.DELTA, Temporality.CUMULATIVE):
        raise Rejected(Reason.MISSING_FIELD, f"aggregation temporality {temporality}: neither delta nor cumulative")
    return temporality == Temporality.DELTA
