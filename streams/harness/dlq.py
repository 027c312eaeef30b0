"""The dead-letter record: the original bytes, and headers that say what was wrong, for us and for Kafka Connect's tools."""

from __future__ import annotations

import hashlib

from schemas.base import derive_id
from schemas.topics import DLQ
from streams.harness.errors import Poison
from streams.harness.stage import Output, Record

HEAD_BYTES = 65_536  # of an original that is too large to keep
HEADERS_BYTES = 65_536  # room kept for key and headers below the topic's limit
DETAIL_CHARS = 1000


def dead_letter(record: Record, stage: str, poison: Poison, limit: int = DLQ.max_message_bytes) -> Output:
    """Return what the dead-letter topic gets for this record.

    The value is the original's bytes; of an original above `limit` bytes (the topic's) its first 64 kB, with its length and
    SHA-256 in the headers and `airra.error.truncated` = true.
    """
    length = len(record.value)
    truncated = length + HEADERS_BYTES > limit
    detail = poison.detail[:DETAIL_CHARS]
    ours = {
        "id": derive_id("dlq", stage, record.topic, record.partition, record.offset),
        "stage": stage,
        "reason": poison.reason,
        "detail": detail,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "length": str(length),
        "sha256": hashlib.sha256(record.value).hexdigest(),
        "truncated": "true" if truncated else "false",
    }
    connect = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": f"airra-{stage}",
        "task.id": "0",
        "stage": "VALUE_CONVERTER",
        "class.name": stage,
        "exception.class.name": poison.reason,
        "exception.message": detail,
        "exception.stacktrace": "",
    }
    headers = [
        *record.headers,
        *((f"airra.error.{name}", value.encode()) for name, value in ours.items()),
        *((f"__connect.errors.{name}", value.encode()) for name, value in connect.items()),
    ]
    return Output(DLQ.name, record.key, record.value[:HEAD_BYTES] if truncated else record.value, tuple(headers))
