"""A team's own JSON, read by the mapping of its topic (schemas/config/formats.py).

A key holds all that a series means, so that a changed mapping never gives an old key a new meaning: a JSON array of name, unit, and the
labels sorted by name, each before its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.config.formats import NAME, MappedMetric, Mapping
from schemas.config.paths import JsonPath, is_path, parse_each, parse_place
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.documents import MISSING, absence, expand, find, shown
from streams.normalise.formats.epochs import moment
from streams.normalise.formats.port import Described, Sample
from streams.normalise.jsons import decode
from streams.normalise.numerals import parse_number

MAX_RECORD_BYTES = 4 * 1024 * 1024  # Kafka's usual limit is one megabyte of a compressed batch
MAX_SAMPLES = 20_000  # of one record: each may cost a key, and a record of a megabyte could ask for a million
MAX_KEY_BYTES = 8_192  # of one label set: a long text of the record times its samples would be quadratic

_ANY = msgspec.json.Decoder()
_KEY = msgspec.json.Decoder(list[str])
_ENCODE = msgspec.json.Encoder().encode


class _Text:
    """A constant, or a place whose text, number or boolean is written out."""

    __slots__ = ("constant", "path", "what")

    def __init__(self, what: str, told: str) -> None:
        self.what = what
        self.path = parse_place(told) if is_path(told) else None
        self.constant = told

    def of(self, sample: Any, record: Any) -> str | None:
        """Return None where nothing or null stands there; raise Rejected for what is no text at all."""
        path = self.path
        if path is None:
            return self.constant
        found = find(path.steps, record if path.whole else sample)
        if type(found) is str:
            return found
        if found is None or found is MISSING:
            return None
        if type(found) is bool:
            return "true" if found else "false"
        if type(found) in {int, float}:
            return str(found)
        raise Rejected(Reason.WRONG_TYPE, f"{self.what} {path.text}: {shown(found)} is no text")


class _Metric:
    __slots__ = ("name", "unit", "value")

    def __init__(self, metric: MappedMetric) -> None:
        self.name = _Text("name", metric.name)
        self.value = parse_place(metric.value)
        self.unit = _Text("unit", metric.unit) if metric.unit is not None else None


class MappedJson:
    """Reads documents, however they were encoded; `read` is for those that are JSON."""

    name = "json"

    def __init__(self, mapping: Mapping) -> None:
        self._each = parse_each(mapping.each) if mapping.each is not None else None
        self._metrics = tuple(map(_Metric, mapping.metrics))
        self._time = parse_place(mapping.timestamp) if mapping.timestamp is not None else None
        self._time_unit = mapping.timestamp_unit
        self._labels = tuple((label, _Text(f"label {label}", told)) for label, told in sorted(mapping.labels.items()))
        self._most_items = MAX_SAMPLES // len(self._metrics)

    def read(self, value: bytes) -> Iterator[Sample | Rejection]:
        return self.read_document(decode(_ANY, value, MAX_RECORD_BYTES))

    def read_document(self, record: Any) -> Iterator[Sample | Rejection]:
        """Return the samples of a decoded record: plain dicts, lists, texts, numbers, booleans and None."""
        items = [record] if self._each is None else expand(self._each, record, self._most_items)
        return self._samples(items, record)

    def describe(self, key: bytes) -> Described:
        """Raise Rejected for bytes that are no key of `read`."""
        parts = decode(_KEY, key, MAX_KEY_BYTES)
        labels = {NAME: parts[0] if parts else "", **dict(zip(parts[2::2], parts[3::2], strict=False))}
        if len(parts) % 2 or not labels[NAME] or 2 * len(labels) != len(parts):
            raise Rejected(Reason.MISSING_FIELD, f"{shown(key.decode(errors='replace'))} is no key: name, unit, label, value, …")
        return Described(labels, unit=parts[1])

    def _samples(self, items: list[Any], record: Any) -> Iterator[Sample | Rejection]:
        """Give one Rejection for a sample whose time or labels cannot be read: all its metrics share them."""
        for item in items:
            if type(item) is Rejection:
                yield item
                continue
            try:
                at = self._at(item, record)
                labels = self._labelled(item, record)
            except Rejected as refused:
                yield refused.rejection
                continue
            for metric in self._metrics:
                try:
                    number = _number(metric.value, item, record)
                    if number is not None:
                        yield Sample(self._key(metric, labels, item, record), at, number)
                except Rejected as refused:
                    yield refused.rejection

    def _at(self, item: Any, record: Any) -> int | None:
        path = self._time
        if path is None:
            return None
        root = record if path.whole else item
        found = find(path.steps, root)
        if found is None:
            return None
        if found is MISSING:
            raise Rejected(Reason.MISSING_FIELD, f"timestamp {absence(path, root)}")
        try:
            return moment(found, self._time_unit)
        except Rejected as refused:
            raise Rejected(refused.rejection.reason, f"timestamp {path.text}: {refused.rejection.detail}") from None

    def _labelled(self, item: Any, record: Any) -> list[str]:
        labels: list[str] = []
        for label, text in self._labels:
            value = text.of(item, record)
            if value is not None:
                labels += label, value
        return labels

    def _key(self, metric: _Metric, labels: list[str], item: Any, record: Any) -> bytes:
        name = metric.name.of(item, record)
        if not name:
            path = metric.name.path
            way = absence(path, record if path.whole else item) if path is not None else ""
            raise Rejected(Reason.MISSING_FIELD, f"name {way}")
        unit = metric.unit.of(item, record) if metric.unit is not None else None
        key = _ENCODE([name, unit or "", *labels])
        if len(key) > MAX_KEY_BYTES:
            raise Rejected(Reason.TOO_LARGE, f"name and labels of {len(key)} bytes, at most {MAX_KEY_BYTES}: {shown(name)}")
        return key


def _number(path: JsonPath, item: Any, record: Any) -> float | None:
    """Return None for null, which says that there is no value; raise Rejected for what is no number."""
    root = record if path.whole else item
    found = find(path.steps, root)
    if found is None:
        return None
    try:
        if isinstance(found, int | float):  # booleans too
            return float(found)
        if type(found) is str:
            return parse_number(found)
    except OverflowError:
        raise Rejected(Reason.NOT_FINITE, f"value {path.text}: {shown(found)} is beyond what a float holds") from None
    except ValueError:
        raise Rejected(Reason.WRONG_TYPE, f"value {path.text}: {shown(found)} is not a number") from None
    if found is MISSING:
        raise Rejected(Reason.MISSING_FIELD, f"value {absence(path, root)}")
    raise Rejected(Reason.WRONG_TYPE, f"value {path.text}: {shown(found)} is not a number")
