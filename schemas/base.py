"""What every record shares: frozen, UTC milliseconds, derived ids, canonical bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Millis = Annotated[int, Field(ge=0, description="milliseconds since 1970-01-01 UTC")]


class Frozen(BaseModel):
    """A value that crosses a topic: immutable; unknown fields are ignored, so that a newer writer does not stop an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Strict(BaseModel):
    """A value that a person writes (configuration, request bodies): an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Position(Frozen):
    """Where a record stands: the evidence that recomputes a decision."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


def canonical(value: Any) -> bytes:
    """Serialise to one byte string per value: sorted keys, no spaces, no NaN."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 over the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def derive_id(prefix: str, *parts: object) -> str:
    """Derive an id from content and position: what a crash repeats has the same id."""
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}-{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"
