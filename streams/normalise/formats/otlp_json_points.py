"""Data points of OTLP's JSON."""

from __future__ import annotations

import msgspec

from streams.normalise.formats.otlp_json_values import Double, Integer, double, integer
from streams.normalise.formats.otlp_keys import put_point
from streams.normalise.formats.otlp_points import (
    Distribution,
    ExponentialDistribution,
    Head,
    Quantiles,
    exponential_histogram,
    histogram,
    number,
    summary,
)
from streams.normalise.formats.port import Sample
from streams.normalise.jsons import decode

MAX_BYTES = 1024 * 1024  # of one point: its buckets are few hundred, exemplars are what may make it long


class _Point(msgspec.Struct, rename="camel", gc=False):
    attributes: msgspec.Raw = msgspec.Raw()
    time_unix_nano: Integer = None
    flags: Integer = None


class _Number(_Point):
    as_double: Double = None
    as_int: Integer = None


class _Histogram(_Point):
    count: Integer = None
    sum: Double = None
    bucket_counts: list[Integer] | None = None
    explicit_bounds: list[Double] | None = None


class _Buckets(msgspec.Struct, rename="camel", gc=False):
    offset: Integer = None
    bucket_counts: list[Integer] | None = None


class _Exponential(_Point):
    count: Integer = None
    sum: Double = None
    scale: Integer = None
    zero_count: Integer = None
    zero_threshold: Double = None
    positive: _Buckets | None = None
    negative: _Buckets | None = None


class _Quantile(msgspec.Struct, rename="camel", gc=False):
    quantile: Double = None
    value: Double = None


class _Summary(_Point):
    count: Integer = None
    sum: Double = None
    quantile_values: list[_Quantile] | None = None


_NUMBER = msgspec.json.Decoder(_Number)
_HISTOGRAM = msgspec.json.Decoder(_Histogram)
_EXPONENTIAL = msgspec.json.Decoder(_Exponential)
_SUMMARY = msgspec.json.Decoder(_Summary)


def read_number(prefix: bytes, raw: msgspec.Raw) -> list[Sample]:
    found = decode(_NUMBER, bytes(raw), MAX_BYTES)
    value: float | None = None
    if found.as_double is not None:
        value = double(found.as_double)
    elif found.as_int is not None:
        value = float(integer(found.as_int, negative=True))
    return number(_head(prefix, found), value)


def read_histogram(prefix: bytes, raw: msgspec.Raw) -> list[Sample]:
    found = decode(_HISTOGRAM, bytes(raw), MAX_BYTES)
    counts = [integer(count) for count in found.bucket_counts or ()]
    bounds = [double(bound) for bound in found.explicit_bounds or ()]
    return histogram(_head(prefix, found), Distribution(integer(found.count), _sum(found.sum), counts, bounds))


def read_exponential(prefix: bytes, raw: msgspec.Raw) -> list[Sample]:
    found = decode(_EXPONENTIAL, bytes(raw), MAX_BYTES)
    shape = ExponentialDistribution(
        observations=integer(found.count),
        sum=_sum(found.sum),
        scale=integer(found.scale, 32, negative=True),
        zero_count=integer(found.zero_count),
        zero_threshold=double(found.zero_threshold),
        positive=_buckets(found.positive),
        negative=_buckets(found.negative),
    )
    return exponential_histogram(_head(prefix, found), shape)


def read_summary(prefix: bytes, raw: msgspec.Raw) -> list[Sample]:
    found = decode(_SUMMARY, bytes(raw), MAX_BYTES)
    values = [(double(part.quantile), double(part.value)) for part in found.quantile_values or ()]
    return summary(_head(prefix, found), Quantiles(integer(found.count), double(found.sum), values))


def _head(prefix: bytes, point: _Point) -> Head:
    return Head(prefix + put_point(bytes(point.attributes)), integer(point.time_unix_nano), integer(point.flags, 32))


def _sum(value: float | str | None) -> float | None:
    return None if value is None else double(value)


def _buckets(found: _Buckets | None) -> tuple[int, list[int]]:
    if found is None:
        return 0, []
    return integer(found.offset, 32, negative=True), [integer(count) for count in found.bucket_counts or ()]
