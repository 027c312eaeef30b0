"""Prometheus remote_write: WriteRequest of 1.0 and io.prometheus.write.v2.Request of 2.0, as a relay puts their bodies on a topic.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and .../remote_write_spec_2_0/ ; the messages are prometheus/prompb/remote.proto,
types.proto and io/prometheus/write/v2/types.proto. Exemplars, help texts and the metadata of 1.0 (which is sent apart from the series)
are passed over. Native histograms become classic series: nothing downstream has a use for their precision.
"""

from __future__ import annotations

import cramjam

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.harvest import MAX_ITEMS, MAX_KEY_BYTES, Harvest
from streams.normalise.formats.native_histogram import read as read_histogram
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.remote_write_keys import GAUGE_HISTOGRAM, HISTOGRAM, describe, put_label, put_part, put_type, put_unit
from streams.normalise.formats.wire import BROKEN, I32, I64, LEN, VARINT, double, fields, signed, tag, varints

MAX_BYTES = 32 * 1024 * 1024  # Prometheus sends well below 1 MB uncompressed; its own receiver takes 32 MiB
MOST_PER_BYTE = 22  # snappy's densest element is a copy of 64 bytes in three

LONGEST_LENGTH = 5  # bytes of a message's length
SHORT = 59  # a literal of more than 60 bytes has its length in one to four bytes that follow
_WIRE_TYPES = (VARINT, I64, LEN, I32)

_TIMESERIES = tag(1, LEN)
_LABELS, _SAMPLES, _HISTOGRAMS = tag(1, LEN), tag(2, LEN), tag(4, LEN)
_VALUE, _TIMESTAMP = tag(1, I64), tag(2, VARINT)

_SYMBOLS_2, _TIMESERIES_2 = tag(4, LEN), tag(5, LEN)
_REFS, _REF, _HISTOGRAMS_2, _METADATA = tag(1, LEN), tag(1, VARINT), tag(3, LEN), tag(5, LEN)
_TYPE, _UNIT_REF = tag(1, VARINT), tag(4, VARINT)


def unpack(body: bytes) -> bytes:
    """Undo snappy's block format; raise Rejected for what is none, or would be too large, before any room is made for it."""
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > min(MAX_BYTES, MOST_PER_BYTE * len(body)):
            raise Rejected(Reason.TOO_LARGE, f"{len(body)} bytes that claim to be {size}, at most {MAX_BYTES}")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise Rejected(BROKEN, f"not in snappy's block format: {error}") from error


def begins_packed(value: bytes) -> bool:
    """Tell whether a body may be a message in snappy's block format: its length, then, as they stand, bytes that begin with a tag."""
    at = 0
    while at < LONGEST_LENGTH and value[at : at + 1] >= b"\x80":
        at += 1
    first = value[at + 1 : at + 6]  # the element's own tag, up to four bytes of its length, and what it brings
    if not first or first[0] & 0b11:  # nothing came before that could be copied
        return False
    return begins_with_tag(first[1 + max(0, (first[0] >> 2) - SHORT) :])


def begins_with_tag(body: bytes) -> bool:
    """Tell whether bytes may be a message of protobuf: no JSON is, and that is soon said."""
    return body[:1] != b"" and (body[0] & 0b111) in _WIRE_TYPES


class RemoteWrite:
    name = "remote-write"

    def read(self, value: bytes) -> list[Sample | Rejection]:
        harvest = Harvest()
        number = 0
        for found, _, start, end, _ in fields(value):
            if found == _TIMESERIES:
                number += 1
                try:
                    key, samples, histograms = _series(value, start, end)
                    points = [_sample(value, *place) for place in samples]
                except Rejected as refused:
                    harvest.reject(refused.rejection, f"time series {number}")
                    continue
                harvest.take([Sample(key, at, content) for at, content in points])
                _histograms(harvest, value, histograms, key, f"time series {number}")
        return harvest.items

    def describe(self, key: bytes) -> Described:
        return describe(key)


class RemoteWrite2:
    name = "remote-write-2"

    def read(self, value: bytes) -> list[Sample | Rejection]:
        harvest = Harvest()
        symbols: list[bytes] = []
        number = 0
        for found, _, start, end, _ in fields(value):
            if found == _SYMBOLS_2:
                symbols.append(value[start:end])
        for found, _, start, end, _ in fields(value):
            if found != _TIMESERIES_2:
                continue
            number += 1
            try:
                key, samples, histograms, kind = _series_2(value, start, end, symbols)
                points = [_sample(value, *place) for place in samples]
            except Rejected as refused:
                harvest.reject(refused.rejection, f"time series {number}")
                continue
            typed = key + put_type(kind)
            harvest.spend(len(typed))
            harvest.take([Sample(typed, at, content) for at, content in points])
            _histograms(harvest, value, histograms, key, f"time series {number}", kind)
        return harvest.items

    def describe(self, key: bytes) -> Described:
        return describe(key)


_Places = list[tuple[int, int]]


def _series(data: bytes, start: int, end: int) -> tuple[bytes, _Places, _Places]:
    """Return the labels as they stand, and where the samples and the histograms are."""
    samples: _Places = []
    histograms: _Places = []
    pieces: _Places = []  # of labels, one where they follow each other
    for found, begin, content, stop, _ in fields(data, start, end):
        if found == _LABELS:
            if pieces and pieces[-1][1] == begin:
                pieces[-1] = (pieces[-1][0], stop)
            else:
                pieces.append((begin, stop))
        elif found == _SAMPLES:
            samples.append(_one_more(samples, content, stop))
        elif found == _HISTOGRAMS:
            histograms.append(_one_more(histograms, content, stop))
    key = b"".join([data[begin:stop] for begin, stop in pieces])
    return key, samples, histograms


def _sample(data: bytes, start: int, end: int) -> tuple[int, float]:
    at, value = 0, 0.0
    for found, _, begin, _, number in fields(data, start, end):
        if found == _VALUE:
            value = double(data, begin)
        elif found == _TIMESTAMP:
            at = signed(number)
    return at, value


def _histograms(harvest: Harvest, data: bytes, places: _Places, key: bytes, where: str, kind: int = 0) -> None:
    for start, end in places:
        try:
            found = read_histogram(data, start, end)
        except Rejected as refused:
            harvest.reject(refused.rejection, f"{where}, a native histogram")
            continue
        base = key + put_type(GAUGE_HISTOGRAM if found.gauge or kind == GAUGE_HISTOGRAM else HISTOGRAM)
        harvest.take([Sample(base + put_part("_bucket", le), found.at, total) for le, total in found.buckets])
        harvest.take(
            [Sample(base + put_part("_count", ""), found.at, found.total), Sample(base + put_part("_sum", ""), found.at, found.sum)]
        )


def _series_2(data: bytes, start: int, end: int, symbols: list[bytes]) -> tuple[bytes, _Places, _Places, int]:
    """Return the labels and the unit written out, where samples and histograms are, and the type."""
    refs: list[int] = []
    samples: _Places = []
    histograms: _Places = []
    kind = unit = 0
    for found, _, content, stop, value in fields(data, start, end):
        if found == _REFS:
            if stop - content > MAX_KEY_BYTES:
                raise Rejected(Reason.TOO_LARGE, f"label references of {stop - content} bytes, at most {MAX_KEY_BYTES}")
            refs += varints(data, content, stop)
        elif found == _REF:
            refs.append(value)
        elif found == _SAMPLES:
            samples.append(_one_more(samples, content, stop))
        elif found == _HISTOGRAMS_2:
            histograms.append(_one_more(histograms, content, stop))
        elif found == _METADATA:
            kind, unit = _metadata(data, content, stop, kind, unit)
    if len(refs) % 2:
        raise Rejected(Reason.WRONG_TYPE, f"{len(refs)} label references, which come in pairs")
    if not (samples or histograms):
        return b"", samples, histograms, kind
    named = [(_symbol(symbols, name), _symbol(symbols, value)) for name, value in zip(refs[::2], refs[1::2], strict=True)]
    unit_text = _symbol(symbols, unit) if unit else b""
    size = sum(len(name) + len(value) for name, value in named) + len(unit_text)
    if size > MAX_KEY_BYTES:  # a reference is one byte, what it stands for may be a million
        raise Rejected(Reason.TOO_LARGE, f"labels of {size} bytes, at most {MAX_KEY_BYTES}")
    return b"".join([put_label(name, value) for name, value in named]) + put_unit(unit_text), samples, histograms, kind


def _one_more(places: _Places, start: int, end: int) -> tuple[int, int]:
    if len(places) >= MAX_ITEMS:
        raise Rejected(Reason.TOO_LARGE, f"more than {MAX_ITEMS} samples in one series")
    return start, end


def _metadata(data: bytes, start: int, end: int, kind: int, unit: int) -> tuple[int, int]:
    for found, _, _, _, value in fields(data, start, end):
        if found == _TYPE:
            kind = value & 0xFFFF_FFFF
        elif found == _UNIT_REF:
            unit = value & 0xFFFF_FFFF
    return kind, unit


def _symbol(symbols: list[bytes], ref: int) -> bytes:
    if ref >= len(symbols):
        raise Rejected(Reason.MISSING_FIELD, f"a reference to symbol {ref} of {len(symbols)}")
    return symbols[ref]
