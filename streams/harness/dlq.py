"""The dead-letter record: the original bytes, and headers that say what was wrong, for us and for Kafka Connect's tools."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from schemas.base import derive_id
from schemas.topics import DLQ
from streams.harness.errors import Poison
from streams.harness.stage import Headers, Output, Record

HEAD_BYTES = 65_536  # of an original that is too large to keep
KEY_BYTES = 8_192  # of the original's key
HEADERS_KEPT = 32_768  # bytes of the original's headers, the first ones
HEADERS_BYTES = 65_536  # room kept for key and headers, ours among them, below the topic's limit
DETAIL_CHARS = 1000

_KNOWN = 4096  # places and reasons whose headers are made once
_CONNECT, _EXCEPTION = "__connect.errors.", "__connect.errors.exception."
_CONNECT_OFFSET, _MESSAGE = f"{_CONNECT}offset", f"{_EXCEPTION}message"
_UNCUT = (("airra.error.truncated", b"false"), ("airra.error.truncated.parts", b""))
_UNTRACED = (f"{_EXCEPTION}stacktrace", b"")

Pair = tuple[str, bytes]


class _Alike(NamedTuple):
    """What letters of one stage, source partition and reason have in common: a flood of poison must not slow down what is sound."""

    why: tuple[Pair, ...]
    where: tuple[Pair, ...]
    connect_where: tuple[Pair, ...]
    connect_who: tuple[Pair, ...]


@lru_cache(_KNOWN)
def _alike(stage: str, topic: str, partition: int, reason: str) -> _Alike:
    place = (("topic", topic.encode()), ("partition", b"%d" % partition))
    return _Alike(
        (("airra.error.stage", stage.encode()), ("airra.error.reason", reason.encode())),
        tuple((f"airra.error.{name}", value) for name, value in place),
        tuple((f"{_CONNECT}{name}", value) for name, value in place),
        (
            (f"{_CONNECT}connector.name", b"airra-" + stage.encode()),
            (f"{_CONNECT}task.id", b"0"),
            (f"{_CONNECT}stage", b"VALUE_CONVERTER"),
            (f"{_CONNECT}class.name", stage.encode()),
            (f"{_EXCEPTION}class.name", reason.encode()),
        ),
    )


def dead_letter(record: Record, stage: str, poison: Poison, limit: int = DLQ.max_message_bytes) -> Output:
    """Return what the dead-letter topic gets for this record.

    The value is the original's bytes; of an original above `limit` bytes (the topic's) its first 64 kB, with its length and
    SHA-256 in the headers. Key and headers are bounded as well: whoever may write a record may give it a key of megabytes.
    `airra.error.truncated` = true where anything is missing, and `airra.error.truncated.parts` says of what.
    """
    length = len(record.value)
    key = record.key if record.key is None else record.key[:KEY_BYTES]
    kept = _kept(record.headers)
    is_long = length + HEADERS_BYTES > limit
    cut = {"value": is_long, "key": key != record.key, "headers": kept != record.headers}
    parts = ",".join([name for name, is_cut in cut.items() if is_cut])
    detail = poison.detail.encode(errors="replace")
    if len(detail) > DETAIL_CHARS:
        detail = poison.detail.encode(errors="replace").decode()[:DETAIL_CHARS].encode()
    alike, offset = _alike(stage, record.topic, record.partition, poison.reason), b"%d" % record.offset
    headers = (
        *kept,
        ("airra.error.id", derive_id("dlq", stage, record.topic, record.partition, record.offset).encode()),
        *alike.why,
        ("airra.error.detail", detail),
        *alike.where,
        ("airra.error.offset", offset),
        ("airra.error.timestamp", b"%d" % record.timestamp),
        ("airra.error.length", b"%d" % length),
        ("airra.error.sha256", hashlib.sha256(record.value).hexdigest().encode()),
        *((("airra.error.truncated", b"true"), ("airra.error.truncated.parts", parts.encode())) if parts else _UNCUT),
        *alike.connect_where,
        (_CONNECT_OFFSET, offset),
        *alike.connect_who,
        (_MESSAGE, detail),
        _UNTRACED,
    )
    return Output(DLQ.name, key, record.value[:HEAD_BYTES] if is_long else record.value, headers)


def _kept(headers: Headers) -> Headers:
    """Return the first headers that fit, whole: a half of one would mislead whoever reads it."""
    if not headers:
        return headers
    left = HEADERS_KEPT
    kept: list[tuple[str, bytes]] = []
    for name, value in headers:
        left -= len(name.encode(errors="replace")) + len(value)
        if left < 0:
            break
        kept.append((name, value))
    return tuple(kept)
