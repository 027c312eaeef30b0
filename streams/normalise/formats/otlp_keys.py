"""Keys of OTLP series: a message of the pieces of a record that name a series, each as it stands there.

    1  the resource's attributes     3  the metric's name     5  its kind, a byte                7  what follows the name: _bucket …
    2  the scope                     4  its unit              6  the data point's attributes     8  le, or quantile

Attributes and scope are bytes of their own encoding, protobuf or JSON, which only its format reads.

Of one name on two levels the nearer to the point wins, data point before scope before resource:
https://github.com/open-telemetry/opentelemetry-specification/blob/main/specification/common/attribute-precedence.md . The scope's own
name, version and attributes become otel_scope_*, as in specification/compatibility/prometheus_and_openmetrics.md .
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.otlp_values import Pairs, value_text
from streams.normalise.formats.port import Described
from streams.normalise.formats.wire import LEN, fields, put, tag, text
from streams.normalise.series import NAME

_RESOURCE, _SCOPE, _NAME, _UNIT, _KIND, _POINT, _SUFFIX, _BOUND = (tag(number, LEN) for number in range(1, 9))


class Kind(IntEnum):
    GAUGE = 1
    UP_DOWN = 2  # a sum that may fall
    COUNTER = 3
    HISTOGRAM = 4
    SUMMARY = 5
    DELTA_UP_DOWN = 6
    DELTA_COUNTER = 7
    DELTA_HISTOGRAM = 8

    @property
    def delta(self) -> bool:
        return self >= Kind.DELTA_UP_DOWN


_TYPES = {
    Kind.COUNTER: MetricType.COUNTER,
    Kind.DELTA_COUNTER: MetricType.COUNTER,
    Kind.HISTOGRAM: MetricType.HISTOGRAM,
    Kind.DELTA_HISTOGRAM: MetricType.HISTOGRAM,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What the points of one metric have in common."""

    resource: bytes
    scope: bytes
    name: str
    unit: str
    kind: Kind = Kind.GAUGE

    @property
    def key(self) -> bytes:
        parts = (self.resource, self.scope, self.name.encode(), self.unit.encode(), bytes([self.kind]))
        return b"".join([put(number, part) for number, part in enumerate(parts, 1) if part])

    def of(self, kind: Kind) -> Metric:
        return replace(self, kind=kind)


@dataclass(frozen=True, slots=True)
class Scope:
    name: str
    version: str
    attributes: Pairs


class Reader(Protocol):
    """What an encoding of OTLP makes of its own bytes."""

    def attributes(self, data: bytes) -> Pairs: ...

    def scope(self, data: bytes) -> Scope: ...


def put_point(attributes: bytes) -> bytes:
    return put(6, attributes) if attributes else b""


@lru_cache(4096)  # the bounds that producers use are few
def put_part(suffix: str, bound: str = "") -> bytes:
    return (put(7, suffix.encode()) if suffix else b"") + (put(8, bound.encode()) if bound else b"")


def describe(key: bytes, reader: Reader) -> Described:
    """Raise Rejected for two attributes of one name on the same level, for one without a name, and for what cannot be read."""
    parts = {found: key[start:end] for found, _, start, end, _ in fields(key)}
    name = _text(parts, _NAME)
    code = parts.get(_KIND, b"")
    if not name or code not in _KINDS:
        raise Rejected(Reason.MISSING_FIELD, "a metric without a name, or of no kind")
    kind = _KINDS[code]
    labels = _labels(reader.attributes(parts.get(_RESOURCE, b"")), "the resource")
    labels |= _scope_labels(reader.scope(parts.get(_SCOPE, b"")))
    labels |= _labels(reader.attributes(parts.get(_POINT, b"")), "the data point")
    labels = {label: value for label, value in labels.items() if value}  # Prometheus means absent by empty
    suffix, bound = _text(parts, _SUFFIX), _text(parts, _BOUND)
    labels[NAME] = name + suffix
    if bound:
        labels["quantile" if kind is Kind.SUMMARY else "le"] = bound
    found = MetricType.COUNTER if kind is Kind.SUMMARY and suffix else _TYPES.get(kind, MetricType.GAUGE)
    return Described(labels, found, kind.delta, _text(parts, _UNIT))


_KINDS = {bytes([kind]): kind for kind in Kind}


def _text(parts: dict[int, bytes], number: int) -> str:
    part = parts.get(number, b"")
    return text(part, 0, len(part))


def _scope_labels(scope: Scope) -> dict[str, str]:
    own = {"otel_scope_name": scope.name, "otel_scope_version": scope.version}
    return {f"otel_scope_{name}": value for name, value in _labels(scope.attributes, "the scope").items()} | own


def _labels(pairs: Pairs, level: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, value in pairs:
        if not name:
            raise Rejected(Reason.MISSING_FIELD, f"an attribute of {level} without a name")
        if name in labels:
            raise Rejected(Reason.WRONG_TYPE, f"attribute {name[:64]!r} of {level} is there twice")
        labels[name] = value_text(value)
    return labels
