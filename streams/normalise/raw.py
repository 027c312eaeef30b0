"""Records of one source partition as they are read, and what could be read of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.samples import SOURCE_HEADER
from schemas.topics import WRITE
from streams.harness.errors import Retryable
from streams.harness.stage import Headers
from streams.normalise.fates import Reason, Rejection
from streams.normalise.rows import NO_ROWS, Refusals, Rows

UNKNOWN = "unknown"  # in place of the format of a record that none could read


@dataclass(frozen=True, slots=True)
class Raw:
    """Columns of records, by their index."""

    topic: str
    values: Sequence[bytes | None]
    stamps: Sequence[int]  # Kafka timestamps in ms; 0 where there is none
    headers: Mapping[int, Headers]  # by index, of the records that have any: few have, and the others are not to pay for them

    def headers_of(self, index: int) -> Headers:
        return self.headers.get(index, ())

    def source(self, index: int) -> str:
        """Return who sends a record: what the API has seen by its token, elsewhere the topic, whose ACL says who writes to it."""
        if self.topic != WRITE.name:
            return self.topic
        name = next((value for name, value in reversed(self.headers_of(index)) if name == SOURCE_HEADER), None)
        return self.topic if name is None else name.decode(errors="replace")


class Waits(Retryable):
    """What the record of this index needs is not there now; those before it need nothing."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


def by_index(headers: Iterable[Headers]) -> dict[int, Headers]:
    """Return the headers of those records that have any, by the index of the record."""
    return {index: of for index, of in enumerate(headers) if of}


@dataclass(slots=True)
class Found:
    """What could be read of them."""

    rows: Rows = NO_ROWS
    refusals: Refusals = field(default_factory=Refusals)
    formats: dict[int, str] = field(default_factory=dict)  # the format of each record that is not the adapter's
    before: dict[int, frozenset[int]] = field(default_factory=dict)  # of replayed records: the parts that were taken
    no_value: Counter[int] = field(default_factory=Counter)  # samples without a value, by record


def untimely(at: int | None) -> Rejection:
    """Say what is wrong with a time that no column can hold, or that there is none."""
    if at is None:
        return Rejection(Reason.MISSING_FIELD, "neither the sample nor its Kafka record has a time")
    return Rejection(Reason.TIMESTAMP_OUT_OF_RANGE, f"{at} ms")
