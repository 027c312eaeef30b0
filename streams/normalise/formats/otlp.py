"""OTLP metrics in protobuf: ExportMetricsServiceRequest, and MetricsData, which is the same on the wire.

opentelemetry/proto/metrics/v1/metrics.proto, common/v1/common.proto and resource/v1/resource.proto. Start times, exemplars, minima and
maxima are passed over. A message may have its fields in any order, and what is one message may come in pieces, so each level is gone
through twice: for what its parts have in common, then for the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.harvest import MAX_KEY_BYTES, Harvest
from streams.normalise.formats.otlp_keys import Kind, Metric, Scope, describe
from streams.normalise.formats.otlp_points import histogram_kind, sum_kind
from streams.normalise.formats.otlp_proto_points import read_exponential, read_histogram, read_number, read_summary
from streams.normalise.formats.otlp_values import Pairs, read_pair
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.wire import BROKEN, LEN, VARINT, fields, tag, text

_RESOURCE_METRICS = tag(1, LEN)
_RESOURCE, _SCOPE_METRICS = tag(1, LEN), tag(2, LEN)
_SCOPE, _METRICS = tag(1, LEN), tag(2, LEN)
_ATTRIBUTE = tag(1, LEN)
_SCOPE_NAME, _SCOPE_VERSION, _SCOPE_ATTRIBUTE = tag(1, LEN), tag(2, LEN), tag(3, LEN)
_NAME, _UNIT = tag(1, LEN), tag(3, LEN)
_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY = (tag(number, LEN) for number in (5, 7, 9, 10, 11))
_POINT, _TEMPORALITY, _MONOTONIC = tag(1, LEN), tag(2, VARINT), tag(3, VARINT)

_READERS: dict[int, Callable[[bytes, bytes, int, int], list[Sample]]] = {
    _GAUGE: read_number,
    _SUM: read_number,
    _HISTOGRAM: read_histogram,
    _EXPONENTIAL: read_exponential,
    _SUMMARY: read_summary,
}


class Otlp:
    name = "otlp"

    def read(self, value: bytes) -> list[Sample | Rejection]:
        harvest = Harvest()
        empty = True
        for found, _, start, end, _ in fields(value):
            if found == _RESOURCE_METRICS:
                empty = False
                _resource(harvest, value, start, end)
        if empty and value:
            raise Rejected(BROKEN, "no metrics of OTLP: field 1 is missing")
        return harvest.items

    def describe(self, key: bytes) -> Described:
        return describe(key, _READER)


class _ProtoReader:
    def attributes(self, data: bytes) -> Pairs:
        """Read fields that are all attributes, whatever number the message gives them."""
        return [read_pair(data, start, end) for _, _, start, end, _ in fields(data)]

    def scope(self, data: bytes) -> Scope:
        name = version = ""
        attributes: Pairs = []
        for found, _, start, end, _ in fields(data):
            if found == _SCOPE_NAME:
                name = text(data, start, end)
            elif found == _SCOPE_VERSION:
                version = text(data, start, end)
            elif found == _SCOPE_ATTRIBUTE:
                attributes.append(read_pair(data, start, end))
        return Scope(name, version, attributes)


_READER = _ProtoReader()


def _resource(harvest: Harvest, data: bytes, start: int, end: int) -> None:
    resource = _common(data, start, end, _RESOURCE, (_ATTRIBUTE,))
    for found, _, begin, stop, _ in fields(data, start, end):
        if found == _SCOPE_METRICS:
            scope = _common(data, begin, stop, _SCOPE, (_SCOPE_NAME, _SCOPE_VERSION, _SCOPE_ATTRIBUTE))
            if len(resource) + len(scope) > MAX_KEY_BYTES:
                large = f"attributes of {len(resource) + len(scope)} bytes of a resource and a scope, at most {MAX_KEY_BYTES}"
                harvest.reject(Rejection(Reason.TOO_LARGE, large))
                continue
            _metrics(harvest, data, (begin, stop), Metric(resource, scope, "", ""))


def _common(data: bytes, start: int, end: int, message: int, wanted: tuple[int, ...]) -> bytes:
    """Return the wanted fields of a message within this one, as they stand."""
    return b"".join(
        [
            data[inner:last]
            for found, _, begin, stop, _ in fields(data, start, end)
            if found == message
            for part, inner, _, last, _ in fields(data, begin, stop)
            if part in wanted
        ]
    )


def _metrics(harvest: Harvest, data: bytes, place: tuple[int, int], common: Metric) -> None:
    number = 0
    for found, _, start, end, _ in fields(data, *place):
        if found == _METRICS:
            number += 1
            read_metric(harvest, data, (start, end), common, number)


def read_metric(harvest: Harvest, data: bytes, place: tuple[int, int], common: Metric, number: int) -> None:
    """Read one metric, the nth of its scope, of which `common` holds the resource and the scope."""
    start, end = place
    try:
        metric, data_kind, since = _head(data, start, end, common)
    except Rejected as refused:
        harvest.reject(refused.rejection, f"metric {number} of its scope")
        return
    _points(harvest, data, (since, end), metric, data_kind)


def _head(data: bytes, start: int, end: int, common: Metric) -> tuple[Metric, int, int]:
    """Return what a metric's points have in common, which kind of data it has (of several, the last), and where that begins."""
    name = unit = ""
    data_kind = since = temporality = monotonic = 0
    for found, begin, inner, stop, _ in fields(data, start, end):
        if found == _NAME:
            name = text(data, inner, stop)
        elif found == _UNIT:
            unit = text(data, inner, stop)
        elif found in _READERS:
            if found != data_kind:
                data_kind, since, temporality, monotonic = found, begin, 0, 0
            for part, _, _, _, value in fields(data, inner, stop):
                if part == _TEMPORALITY:
                    temporality = value & 0xFFFF_FFFF
                elif part == _MONOTONIC:
                    monotonic = value
    if not name or not data_kind:
        raise Rejected(Reason.MISSING_FIELD, f"{name[:64]!r}: no data of a known kind" if name else "no name")
    return replace(common, name=name, unit=unit, kind=_kind(data_kind, temporality, monotonic)), data_kind, since


def _kind(data_kind: int, temporality: int, monotonic: int) -> Kind:
    if data_kind == _SUM:
        return sum_kind(temporality, monotonic=monotonic != 0)
    if data_kind in (_HISTOGRAM, _EXPONENTIAL):
        return histogram_kind(temporality)
    return Kind.SUMMARY if data_kind == _SUMMARY else Kind.GAUGE


def _points(harvest: Harvest, data: bytes, place: tuple[int, int], metric: Metric, data_kind: int) -> None:
    prefix = metric.key
    harvest.spend(len(prefix))
    read = _READERS[data_kind]
    number = 0
    for found, _, begin, stop, _ in fields(data, *place):
        if found == data_kind:
            for part, _, start, end, _ in fields(data, begin, stop):
                if part == _POINT:
                    number += 1
                    try:
                        samples = read(prefix, data, start, end)
                    except Rejected as refused:
                        harvest.reject(refused.rejection, f"metric {metric.name[:64]!r}, data point {number}")
                        continue
                    harvest.take(samples)
