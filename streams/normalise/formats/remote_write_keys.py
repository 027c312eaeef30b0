"""Keys of remote_write series: the labels as `TimeSeries` of 1.0 holds them, then what they do not say, as fields of one message.

    1  a Label { name = 1; value = 2 }, once a label     3  the unit          5  le of a bucket that was a native histogram's
    2  the type, as the metadata of 2.0 numbers it       4  what follows the metric's name: _bucket, _count, _sum

A float series of 1.0 has field 1 alone, so its key is a slice of the record. No key of one kind is a key of another: a label's bytes
are inside its own length.
"""

from __future__ import annotations

from functools import lru_cache

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.port import Described
from streams.normalise.formats.wire import LEN, VARINT, fields, put, put_varint, tag, text
from streams.normalise.series import NAME

COUNTER, GAUGE, HISTOGRAM, GAUGE_HISTOGRAM, SUMMARY, INFO, STATE_SET = range(1, 8)  # Metadata.MetricType of 2.0

_LABEL, _TYPE, _UNIT, _SUFFIX, _LE = tag(1, LEN), tag(2, VARINT), tag(3, LEN), tag(4, LEN), tag(5, LEN)
_LABEL_NAME, _LABEL_VALUE = tag(1, LEN), tag(2, LEN)
_TYPES = {
    COUNTER: MetricType.COUNTER,
    GAUGE: MetricType.GAUGE,
    HISTOGRAM: MetricType.HISTOGRAM,
    GAUGE_HISTOGRAM: MetricType.GAUGE,  # its buckets fall as well as rise: no rate is to be made of them
    INFO: MetricType.GAUGE,
    STATE_SET: MetricType.GAUGE,
}


def put_label(name: bytes, value: bytes) -> bytes:
    """Write a label as 1.0 does: proto3 leaves out what is empty."""
    return put(1, (put(1, name) if name else b"") + (put(2, value) if value else b""))


def put_type(kind: int) -> bytes:
    return bytes([_TYPE]) + put_varint(kind) if kind else b""


def put_unit(unit: bytes) -> bytes:
    return put(3, unit) if unit else b""


@lru_cache(4096)  # the bounds of native histograms are few: powers of the square root of two
def put_part(suffix: str, le: str) -> bytes:
    return put(4, suffix.encode()) + (put(5, le.encode()) if le else b"")


def describe(key: bytes) -> Described:
    """Raise Rejected for labels that the specification forbids, and for none."""
    labels: dict[str, str] = {}
    last: str | None = None
    kind, unit, suffix, le = 0, "", "", ""
    for found, _, start, end, value in fields(key):
        if found == _LABEL:
            name, content = _label(key, start, end)
            if not name:
                raise Rejected(Reason.MISSING_FIELD, f"a label without a name, its value {content[:64]!r}")
            if last is not None and name <= last:
                fault = "is there twice" if name == last else f"comes after {last[:64]!r}, but labels are sorted"
                raise Rejected(Reason.WRONG_TYPE, f"label {name[:64]!r} {fault}")
            last = name
            if content:  # an empty value means that the label is absent
                labels[name] = content
        elif found == _TYPE:
            kind = value
        elif found == _UNIT:
            unit = text(key, start, end)
        elif found == _SUFFIX:
            suffix = text(key, start, end)
        elif found == _LE:
            le = text(key, start, end)
    if NAME not in labels:
        raise Rejected(Reason.MISSING_FIELD, f"no {NAME} among the labels")
    if le and "le" in labels:
        raise Rejected(Reason.WRONG_TYPE, f"{labels[NAME][:64]}: a native histogram has no label le of its own")
    labels[NAME] += suffix
    if le:
        labels["le"] = le
    return Described(labels, _type(kind, labels), unit=unit)


def _label(data: bytes, start: int, end: int) -> tuple[str, str]:
    name = value = ""
    for found, _, begin, stop, _ in fields(data, start, end):
        if found == _LABEL_NAME:
            name = text(data, begin, stop)
        elif found == _LABEL_VALUE:
            value = text(data, begin, stop)
    return name, value


def _type(kind: int, labels: dict[str, str]) -> MetricType | None:
    if kind == SUMMARY:
        return MetricType.COUNTER if labels[NAME].endswith(("_count", "_sum")) and "quantile" not in labels else MetricType.GAUGE
    return _TYPES.get(kind)
