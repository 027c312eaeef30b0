"""The dead-letter record: the original bytes, and headers that say what was wrong, for us and for Kafka Connect's tools."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from schemas.base import id_of, unambiguous
from schemas.topics import DLQ
from streams.harness.errors import Poison
from streams.harness.stage import Headers, Output, Record

HEAD_BYTES = 65_536  # of an original that is too large to keep
KEY_BYTES = 8_192  # of the original's key
HEADERS_KEPT = 32_768  # bytes of the original's headers, the first ones
HEADERS_BYTES = 65_536  # room kept for key and headers, ours among them, below the topic's limit
DETAIL_CHARS = 1000

Header = tuple[str, bytes]


@lru_cache(4096)  # reasons and partitions are few; made once, for a flood of poison must not slow down what is sound
def _shared(stage: str, reason: str, topic: str, partition: int) -> tuple[tuple[Header, ...], bytes]:
    """Return the headers that all letters of a stage, a reason and a partition share, and how what their ids are made of begins."""
    place = (("topic", topic.encode()), ("partition", b"%d" % partition))
    ours = (("stage", stage.encode()), ("reason", reason.encode()), *place)
    connect = (
        *place,
        ("connector.name", b"airra-" + stage.encode()),
        ("task.id", b"0"),
        ("stage", b"VALUE_CONVERTER"),
        ("class.name", stage.encode()),
        ("exception.class.name", reason.encode()),
        ("exception.stacktrace", b""),
    )
    headers = (*((f"airra.error.{name}", value) for name, value in ours), *((f"__connect.errors.{name}", value) for name, value in connect))
    return headers, unambiguous(stage, topic, str(partition))


def dead_letter(record: Record, stage: str, poison: Poison, limit: int = DLQ.max_message_bytes, of: bytes = b"") -> Output:
    """Return what the dead-letter topic gets for this record.

    The value is the original's bytes; of an original above `limit` bytes (the topic's) its first 64 kB, with its length and
    SHA-256 in the headers. Key and headers are bounded as well: whoever may write a record may give it a key of megabytes.
    `airra.error.truncated` = true where anything is missing, and `airra.error.truncated.parts` says of what. `of` tells the letters of
    one place apart, where there are several.
    """
    length = len(record.value)
    key = record.key if record.key is None else record.key[:KEY_BYTES]
    kept = _kept(record.headers)
    is_cut = length + HEADERS_BYTES > limit
    parts = [b"value"] * is_cut + [b"key"] * (key != record.key) + [b"headers"] * (kept != record.headers)
    detail = poison.detail.encode(errors="replace")
    if len(detail) > DETAIL_CHARS:
        detail = detail.decode()[:DETAIL_CHARS].encode()
    offset = b"%d" % record.offset
    shared, begin = _shared(stage, poison.reason, record.topic, record.partition)
    headers = (
        *kept,
        *shared,
        ("airra.error.id", id_of("dlq", begin + len(offset).to_bytes(4, "big") + offset + of).encode()),
        ("airra.error.detail", detail),
        ("airra.error.offset", offset),
        ("airra.error.timestamp", b"%d" % record.timestamp),
        ("airra.error.length", b"%d" % length),
        ("airra.error.sha256", hashlib.sha256(record.value).hexdigest().encode()),
        ("airra.error.truncated", b"true" if parts else b"false"),
        ("airra.error.truncated.parts", b",".join(parts)),
        ("__connect.errors.offset", offset),
        ("__connect.errors.exception.message", detail),
    )
    return Output(DLQ.name, key, record.value[:HEAD_BYTES] if is_cut else record.value, headers)


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
