"""What every record shares: frozen, UTC milliseconds, derived ids, canonical bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST = 1e15  # of a number that a person writes: seconds of it are milliseconds that fit into 64 bits
LAST_MS = 253_402_300_799_999  # the end of the year 9999: beyond it neither datetime nor any column reaches
# A record tells its version, major.minor. A minor one adds fields that older readers ignore; of an unknown major one nothing is read.
SCHEMA_HEADER = "airra.schema"
SCHEMA: tuple[str, bytes] = (
    SCHEMA_HEADER,
    b"1.2",  # 1.1: delta and source of a series; 1.2: what is usual at this time
)  # what this release writes; when to count up: docs/adr/0007-versions.md
SCHEMA_MAJORS = frozenset({b"1"})  # what it reads
Millis = Annotated[int, Field(ge=0, le=LAST_MS, description="milliseconds since 1970-01-01 UTC")]


def countable(value: Any) -> Any:
    """Refuse numbers, also within lists and mappings, that no arithmetic here can bear: NaN, infinities, what leaves 64 bits as ms."""
    if isinstance(value, int | float) and not abs(value) <= MOST:
        raise ValueError(f"{value} is no number to count with: at most {MOST:g}, infinity and NaN are none")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        countable(each)
    return value


class Frozen(BaseModel):
    """A value that crosses a topic: immutable; unknown fields are ignored, so that a newer writer does not stop an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Strict(BaseModel):
    """A value that a person writes (configuration, request bodies): an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        return countable(value)


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


def unambiguous(*parts: str) -> bytes:
    """Put texts together so that no others give the same bytes: each behind its length, for a separator may stand in a text."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in [part.encode() for part in parts]])


def derive_id(prefix: str, *parts: object) -> str:
    """Derive an id from content and position: what a crash repeats has the same id."""
    return id_of(prefix, unambiguous(*map(str, parts)))


def id_of(prefix: str, together: bytes) -> str:
    """Derive an id from parts that are put together already (`unambiguous`)."""
    return f"{prefix}-{hashlib.blake2b(together, digest_size=10).hexdigest()}"
