"""CloudEvents 1.0 in Kafka records: the envelope comes off, what was in it is read as if it had come alone.

The binding has two modes. Structured: the content-type is application/cloudevents+json and the value is the whole event (the batch
form of the JSON format is read too, though the Kafka binding names none). Binary: the attributes are ce_ headers, the value is the
data, and content-type names its format. A record that has not all four required attributes as headers is no event by the binding's own
advice, and none of this module's business.

An event's time is when it happened to be made: it stands in for a sample that has no time of its own, and for no other.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

import msgspec

from streams.harness.stage import Headers
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.documents import SHOWN_CHARS, shown
from streams.normalise.jsons import decode
from streams.normalise.times import parse_time

MAX_RECORD_BYTES = 4 * 1024 * 1024  # Kafka's usual limit is one megabyte of a compressed batch
MAX_EVENTS = 10_000  # of a batch: each may cost a rejection
JSON = "application/json"  # what an event without datacontenttype holds

_MEDIA = "application/cloudevents"
_REQUIRED = ("id", "source", "specversion", "type")
_VERSION = re.compile(r"1\.\d{1,4}", re.ASCII)
_JSON_DATA = re.compile(r"[^/;\s]+/(?:[^/;\s]+\+)?json", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Inner:
    value: bytes
    content_type: str  # as it was written, with parameters; empty: not told
    type: str
    source: str
    time: int | None  # milliseconds UTC, for samples without a time of their own


class _Event(msgspec.Struct):
    """`data` stays as it stands; no data and null differ, null and unset attributes do not."""

    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    data_base64: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_EVENT = msgspec.json.Decoder(_Event)
_BATCH = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)


def text_of(headers: Headers, name: str) -> str | None:
    """Return the last header of this name in whatever case, None where there is none; raise Rejected for what is not UTF-8."""
    if not headers:
        return None
    found = next((value for key, value in reversed(headers) if key.lower() == name), None)
    try:
        return None if found is None else found.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.WRONG_TYPE, f"header {name}: {found!r:.{SHOWN_CHARS}} is not UTF-8") from None


def media_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def is_event(headers: Headers) -> bool:
    """Tell whether a record says of itself that it is a CloudEvent; raise Rejected for a content-type that is not UTF-8."""
    if not headers:
        return False
    names = {key.lower() for key, _ in headers}
    return _structured(text_of(headers, "content-type")) or all(f"ce_{name}" in names for name in _REQUIRED)


def unwrap(value: bytes | None, headers: Headers) -> list[Inner | Rejection]:
    """Return what the events of a record hold, a Rejection in place of an event of a batch that cannot be read.

    Raises Rejected where the record as a whole cannot be, also if it is no event: ask is_event first.
    """
    if value is not None and len(value) > MAX_RECORD_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_RECORD_BYTES}")
    content_type = text_of(headers, "content-type")
    if content_type is None or not _structured(content_type):
        return [_binary(value, headers, content_type)]
    match media_of(content_type):
        case "application/cloudevents+json":
            return [_event(decode(_EVENT, value, MAX_RECORD_BYTES))]
        case "application/cloudevents-batch+json":
            return _batch(value)
        case other:
            raise Rejected(Reason.WRONG_TYPE, f"events as {shown(other)}, while only JSON is read")


def _structured(content_type: str | None) -> bool:
    return content_type is not None and content_type.lstrip().lower().startswith(_MEDIA)


def _binary(value: bytes | None, headers: Headers, content_type: str | None) -> Inner:
    found = {name: text_of(headers, f"ce_{name}") for name in (*_REQUIRED, "time")}
    kind, source, time = _attributes(found)
    if value is None:
        raise Rejected(Reason.MISSING_FIELD, "an event without data")
    return Inner(value, content_type or "", kind, source, time)


def _batch(value: bytes | None) -> list[Inner | Rejection]:
    events = decode(_BATCH, value, MAX_RECORD_BYTES)
    if len(events) > MAX_EVENTS:
        raise Rejected(Reason.TOO_LARGE, f"a batch of {len(events)} events, at most {MAX_EVENTS}")
    found: list[Inner | Rejection] = []
    for event in events:
        try:
            found.append(_event(decode(_EVENT, event, MAX_RECORD_BYTES)))
        except Rejected as refused:
            found.append(refused.rejection)
    return found


def _event(event: _Event) -> Inner:
    kind, source, time = _attributes({name: getattr(event, name) for name in (*_REQUIRED, "time")})
    data = bytes(event.data)
    content_type = event.datacontenttype or JSON
    if event.data_base64 is not None:
        if data and data != b"null":
            raise Rejected(Reason.WRONG_TYPE, "an event with both data and data_base64")
        try:
            return Inner(binascii.a2b_base64(event.data_base64, strict_mode=True), event.datacontenttype or "", kind, source, time)
        except ValueError as error:
            raise Rejected(Reason.WRONG_TYPE, f"data_base64 {shown(event.data_base64)}: {error}") from None
    if not data:
        raise Rejected(Reason.MISSING_FIELD, "an event without data")
    if not _JSON_DATA.fullmatch(media_of(content_type)):  # then data is a text that holds the format
        try:
            data = _STRING.decode(data).encode()
        except msgspec.DecodeError:
            raise Rejected(Reason.WRONG_TYPE, f"data is no text, while datacontenttype is {shown(content_type)}") from None
    return Inner(data, content_type, kind, source, time)


def _attributes(found: dict[str, str | None]) -> tuple[str, str, int | None]:
    """Check what every event has, the version first: of another one nothing else is known."""
    version = found["specversion"]
    if version is not None and not _VERSION.fullmatch(version):
        raise Rejected(Reason.WRONG_TYPE, f"CloudEvents of specversion {shown(version)}, while 1.x is read")
    for name in _REQUIRED:
        if not found[name]:
            raise Rejected(Reason.MISSING_FIELD, f"an event without {name}")
    written = found["time"]
    at = parse_time(written) if written else None
    if written and at is None:
        raise Rejected(Reason.WRONG_TYPE, f"an event's time {shown(written)} is not RFC 3339")
    return found["type"] or "", found["source"] or "", at
