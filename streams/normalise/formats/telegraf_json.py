"""Telegraf's `data_format = "json"`, one metric or a batch of them.

{"fields":{"usage_idle":91.5},"name":"cpu","tags":{"host":"web-1"},"timestamp":1458229140}

A field that is a string, null, or what `json_nested_fields_include` made of a string, is no sample, and no error: it is left away.

`json_timestamp_units` may be any power of ten from a second to a nanosecond, and the record does not say which. But from 1990 to 2100
the seconds since 1970 grow less than tenfold (631,152,000 to 4,102,444,800), so within those years no number is a time by two units.
What is no such time by any unit is taken for seconds where it is smaller (a clock that was never set), and refused where it is larger.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.keys import check_keys
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.telegraf_names import metric_name
from streams.normalise.jsons import decode, unique_labels
from streams.normalise.series import NAME

_EARLIEST, _LATEST = 631_152_000, 4_102_444_800  # seconds: the beginnings of 1990 and of 2100
_UNITS = tuple(10**digits for digits in range(10))  # of a second, down to the nanosecond


class _Metric(msgspec.Struct, gc=False):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    fields: dict[str, Any]
    timestamp: int | float
    tags: msgspec.Raw = msgspec.Raw(b"{}")


class _Batch(msgspec.Struct, gc=False):
    metrics: list[msgspec.Raw] | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_METRIC = msgspec.json.Decoder(_Metric)
_KEY = msgspec.json.Decoder(tuple[str, str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class TelegrafJson:
    name = "telegraf-json"

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        """Return the samples metric by metric; a metric of a batch that cannot be read is one Rejection."""
        batch = decode(_BATCH, value, len(value)).metrics
        if batch is None:
            return _samples(value)
        found: list[Sample | Rejection] = []
        for number, raw in enumerate(batch, 1):
            try:
                found += _samples(raw)
            except Rejected as refused:
                found.append(Rejection(refused.rejection.reason, f"metric {number}: {refused.rejection.detail}"))
        return found

    def describe(self, key: bytes) -> Described:
        measurement, field, raw = decode(_KEY, key, len(key))
        tags = unique_labels(raw)
        if NAME in tags:
            raise Rejected(Reason.WRONG_TYPE, f"two labels {NAME!r}: a tag, and what the field is called")
        labels = {NAME: metric_name(measurement, field), **tags}
        if not labels[NAME]:
            raise Rejected(Reason.MISSING_FIELD, "a field without a name")
        return Described(labels)


def _samples(raw: bytes | msgspec.Raw) -> list[Sample | Rejection]:
    metric = decode(_METRIC, raw, len(raw))
    at = _milliseconds(metric.timestamp)
    begin, end = b"[" + _encode(metric.name) + b",", b"," + bytes(metric.tags) + b"]"
    check_keys(len(begin) + len(end), len(metric.fields))
    return [
        Sample(begin + _encode(field) + end, at, _number(value))
        for field, value in metric.fields.items()
        if isinstance(value, int | float)  # a boolean is an int to Python: 1 or 0
    ]


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Rejected(Reason.WRONG_TYPE, "a whole number of more than 308 digits") from None


def _milliseconds(timestamp: float) -> int:
    for unit in _UNITS:
        if _EARLIEST * unit <= timestamp < _LATEST * unit:
            return _scaled(timestamp, unit)
    if abs(timestamp) < _LATEST:
        return _scaled(timestamp, 1)
    raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"timestamp {str(timestamp)[:32]} is within 1990 to 2100 by no unit")


def _scaled(timestamp: float, unit: int) -> int:
    """Cut whole numbers to the millisecond; round others, whose last digits are those of a double."""
    return timestamp * 1000 // unit if isinstance(timestamp, int) else round(timestamp * 1000 / unit)
