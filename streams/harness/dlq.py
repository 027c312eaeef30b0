"""The dead-letter record: the original bytes, and headers that say what was wrong, for us and for Kafka Connect's tools."""

from __future__ import annotations

import hashlib

from schemas.base import derive_id
from schemas.topics import DLQ
from streams.harness.errors import Poison
from streams.harness.stage import Headers, Output, Record

HEAD_BYTES = 65_536  # of an original that is too large to keep
KEY_BYTES = 8_192  # of the original's key
HEADERS_KEPT = 32_768  # bytes of the original's headers, the first ones
HEADERS_BYTES = 65_536  # room kept for key and headers, ours among them, below the topic's limit
DETAIL_CHARS = 1000

# Named once: a flood of poison must not slow down what is sound.
_OURS = ("id", "stage", "reason", "detail", "topic", "partition", "offset", "timestamp", "length", "sha256", "truncated", "truncated.parts")
_CONNECT = ("topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name")
_EXCEPTION = ("class.name", "message", "stacktrace")
_NAMES = (
    *(f"airra.error.{name}" for name in _OURS),
    *(f"__connect.errors.{name}" for name in _CONNECT),
    *(f"__connect.errors.exception.{name}" for name in _EXCEPTION),
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
    cut = {"value": length + HEADERS_BYTES > limit, "key": key != record.key, "headers": kept != record.headers}
    parts = ",".join(name for name, is_cut in cut.items() if is_cut)
    detail = poison.detail.encode(errors="replace")
    if len(detail) > DETAIL_CHARS:
        detail = poison.detail.encode(errors="replace").decode()[:DETAIL_CHARS].encode()
    place = (record.topic.encode(), b"%d" % record.partition, b"%d" % record.offset)
    name, reason = stage.encode(), poison.reason.encode()
    ours = (
        derive_id("dlq", stage, record.topic, record.partition, record.offset).encode(),
        name,
        reason,
        detail,
        *place,
        b"%d" % record.timestamp,
        b"%d" % length,
        hashlib.sha256(record.value).hexdigest().encode(),
        b"true" if parts else b"false",
        parts.encode(),
    )
    connect = (*place, b"airra-" + name, b"0", b"VALUE_CONVERTER", name, reason, detail, b"")
    headers = (*kept, *zip(_NAMES, ours + connect, strict=True))
    return Output(DLQ.name, key, record.value[:HEAD_BYTES] if cut["value"] else record.value, headers)


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
