"""Data points of OTLP's protobuf: opentelemetry/proto/metrics/v1/metrics.proto, field by field."""

from __future__ import annotations

from streams.normalise.fates import Reason, Rejected
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
from streams.normalise.formats.wire import (
    I64,
    LEN,
    VARINT,
    double,
    doubles,
    fields,
    fixed64,
    fixed64s,
    signed,
    tag,
    varints,
    zigzag32,
)

MAX_BYTES = 1024 * 1024  # of one point: its buckets are few hundred, exemplars are what may make it long

_TIME, _COUNT, _SUM = tag(3, I64), tag(4, I64), tag(5, I64)
_NUMBER_ATTRIBUTES, _AS_DOUBLE, _AS_INT, _NUMBER_FLAGS = tag(7, LEN), tag(4, I64), tag(6, I64), tag(8, VARINT)
_HISTOGRAM_ATTRIBUTES, _COUNTS, _BOUNDS, _HISTOGRAM_FLAGS = tag(9, LEN), 6, 7, tag(10, VARINT)
_EXPONENTIAL_ATTRIBUTES, _SCALE, _ZERO_COUNT, _POSITIVE, _NEGATIVE = tag(1, LEN), tag(6, VARINT), tag(7, I64), tag(8, LEN), tag(9, LEN)
_EXPONENTIAL_FLAGS, _ZERO_THRESHOLD = tag(10, VARINT), tag(14, I64)
_OFFSET, _BUCKET_COUNTS, _BUCKET_COUNT = tag(1, VARINT), tag(2, LEN), tag(2, VARINT)
_SUMMARY_ATTRIBUTES, _QUANTILES, _SUMMARY_FLAGS = tag(7, LEN), tag(6, LEN), tag(8, VARINT)
_QUANTILE, _VALUE = tag(1, I64), tag(2, I64)


def read_number(prefix: bytes, data: bytes, start: int, end: int) -> list[Sample]:
    _bounded(start, end)
    attributes: list[bytes] = []
    nanos = flags = 0
    value: float | None = None
    for found, begin, inner, stop, content in fields(data, start, end):
        if found == _NUMBER_ATTRIBUTES:
            attributes.append(data[begin:stop])
        elif found == _TIME:
            nanos = fixed64(data, inner)
        elif found == _AS_DOUBLE:
            value = double(data, inner)
        elif found == _AS_INT:
            value = float(signed(fixed64(data, inner)))
        elif found == _NUMBER_FLAGS:
            flags = content
    return number(Head(prefix + put_point(b"".join(attributes)), nanos, flags), value)


def read_histogram(prefix: bytes, data: bytes, start: int, end: int) -> list[Sample]:
    _bounded(start, end)
    attributes: list[bytes] = []
    counts: list[int] = []
    bounds: list[float] = []
    nanos = flags = count = 0
    total: float | None = None
    for found, begin, inner, stop, content in fields(data, start, end):
        if found == _HISTOGRAM_ATTRIBUTES:
            attributes.append(data[begin:stop])
        elif found == _TIME:
            nanos = fixed64(data, inner)
        elif found == _COUNT:
            count = fixed64(data, inner)
        elif found == _SUM:
            total = double(data, inner)
        elif found >> 3 == _COUNTS and found & 7 in (LEN, I64):
            counts += fixed64s(data, inner, stop)
        elif found >> 3 == _BOUNDS and found & 7 in (LEN, I64):
            bounds += doubles(data, inner, stop)
        elif found == _HISTOGRAM_FLAGS:
            flags = content
    head = Head(prefix + put_point(b"".join(attributes)), nanos, flags)
    return histogram(head, Distribution(count, total, counts, bounds))


def read_exponential(prefix: bytes, data: bytes, start: int, end: int) -> list[Sample]:
    _bounded(start, end)
    attributes: list[bytes] = []
    nanos = flags = count = zero_count = scale = 0
    zero_threshold = 0.0
    total: float | None = None
    sides: dict[int, tuple[int, list[int]]] = {_POSITIVE: (0, []), _NEGATIVE: (0, [])}
    for found, begin, inner, stop, content in fields(data, start, end):
        if found == _EXPONENTIAL_ATTRIBUTES:
            attributes.append(data[begin:stop])
        elif found == _TIME:
            nanos = fixed64(data, inner)
        elif found == _COUNT:
            count = fixed64(data, inner)
        elif found == _SUM:
            total = double(data, inner)
        elif found == _SCALE:
            scale = zigzag32(content)
        elif found == _ZERO_COUNT:
            zero_count = fixed64(data, inner)
        elif found == _ZERO_THRESHOLD:
            zero_threshold = double(data, inner)
        elif found in sides:
            sides[found] = _buckets(data, inner, stop, sides[found])
        elif found == _EXPONENTIAL_FLAGS:
            flags = content
    head = Head(prefix + put_point(b"".join(attributes)), nanos, flags)
    positive, negative = sides[_POSITIVE], sides[_NEGATIVE]
    return exponential_histogram(head, ExponentialDistribution(count, total, scale, zero_count, zero_threshold, positive, negative))


def read_summary(prefix: bytes, data: bytes, start: int, end: int) -> list[Sample]:
    _bounded(start, end)
    attributes: list[bytes] = []
    values: list[tuple[float, float]] = []
    nanos = flags = count = 0
    total = 0.0
    for found, begin, inner, stop, content in fields(data, start, end):
        if found == _SUMMARY_ATTRIBUTES:
            attributes.append(data[begin:stop])
        elif found == _TIME:
            nanos = fixed64(data, inner)
        elif found == _COUNT:
            count = fixed64(data, inner)
        elif found == _SUM:
            total = double(data, inner)
        elif found == _QUANTILES:
            values.append(_quantile(data, inner, stop))
        elif found == _SUMMARY_FLAGS:
            flags = content
    return summary(Head(prefix + put_point(b"".join(attributes)), nanos, flags), Quantiles(count, total, values))


def _buckets(data: bytes, start: int, end: int, before: tuple[int, list[int]]) -> tuple[int, list[int]]:
    offset, counts = before
    for found, _, inner, stop, value in fields(data, start, end):
        if found == _OFFSET:
            offset = zigzag32(value)
        elif found == _BUCKET_COUNTS:
            counts += varints(data, inner, stop)
        elif found == _BUCKET_COUNT:
            counts.append(value)
    return offset, counts


def _quantile(data: bytes, start: int, end: int) -> tuple[float, float]:
    quantile = value = 0.0
    for found, _, inner, _, _ in fields(data, start, end):
        if found == _QUANTILE:
            quantile = double(data, inner)
        elif found == _VALUE:
            value = double(data, inner)
    return quantile, value


def _bounded(start: int, end: int) -> None:
    if end - start > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{end - start} bytes, at most {MAX_BYTES}")
