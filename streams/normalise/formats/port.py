"""What a format of metrics is to normalise: it reads records into samples, and says what a series key means.

A sample names its series by a key: bytes that are the same for the same label set of the same producer, cut from the record as they
stand wherever that is possible. Only a key that was never seen is described, so labels are decoded once a series and not once a sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.kinds import MetricType
from streams.normalise.fates import Rejection


class Sample(NamedTuple):
    key: bytes
    at: int | None  # milliseconds UTC; None: the record has no time of its own, its Kafka timestamp counts
    value: float  # not finite where the producer wrote so; STALE where it ended the series


@dataclass(frozen=True, slots=True)
class Described:
    """What a key means."""

    labels: dict[str, str]  # with __name__; values are what the producer wrote
    type: MetricType | None = None  # where the format itself tells; else the mapping does
    delta: bool = False  # each value counts from the one before it, not from the beginning
    unit: str = ""  # as the format writes it


class Format(Protocol):
    name: str

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        """Return the samples of one record in their order; a Rejection in place of one that cannot be read.

        Raises Rejected where the record is not of this format at all, or breaks it so that what follows cannot be found.
        """

    def describe(self, key: bytes) -> Described:
        """Say what a key of `read` means; Rejected where it can mean nothing (two labels of one name, no metric name)."""
