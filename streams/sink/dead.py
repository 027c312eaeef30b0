"""What the store keeps of a dead letter: where the original stood and why it was given up, never its content."""

from __future__ import annotations

from typing import Any

from schemas.base import derive_id
from streams.harness.stage import Record

_PREFIX = "airra.error."
_TEXT_LIMIT = 2_000  # characters: a reason is for people; the letter itself has the rest


def values(record: Record) -> dict[str, Any]:
    """Read the headers of a dead letter; one without them still counts, under its own coordinates."""
    topic = _text(record, "topic") or record.topic
    partition = _number(record, "partition", record.partition, 31)
    offset = _number(record, "offset", record.offset, 63)
    stage = _text(record, "stage")
    return {
        "id": derive_id("dlq", stage, topic, partition, offset),
        "stage": stage,
        "reason": _text(record, "reason"),
        "detail": _text(record, "detail"),
        "topic": topic,
        "partition": partition,
        "offset": offset,
    }


def _text(record: Record, name: str) -> str:
    value = record.header(f"{_PREFIX}{name}")
    return "" if value is None else value.decode(errors="replace")[:_TEXT_LIMIT]


def _number(record: Record, name: str, default: int, bits: int) -> int:
    value = _text(record, name)
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return default
    number = int(value)
    return number if -(1 << bits) <= number < 1 << bits else default
