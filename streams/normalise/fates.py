"""What becomes of a raw record: exactly one fate, counted; the counts add up to the records taken in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    ACCEPTED = "accepted"
    DEAD_LETTER = "dead_letter"
    UNMAPPED = "unmapped"  # a sound sample of a metric that no rule of the mapping names
    EMPTY = "empty"  # a sound record without a value


class SampleFate(StrEnum):
    """What becomes of one sample of a record of metrics that could be read."""

    ACCEPTED = "accepted"
    UNMAPPED = "unmapped"
    REFUSED = "refused"  # its record is dead-lettered for it, without the others
    NO_VALUE = "no_value"  # NaN, where that means that there is none


class Reason(StrEnum):
    """Why a record is dead-lettered; the order is the order of the checks."""

    TOO_LARGE = "too_large"
    UNKNOWN_FORMAT = "unknown_format"
    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    NO_SERVICE = "no_service"
    NOT_FINITE = "not_finite"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    READER_FAILED = "reader_failed"  # a fault of ours: replay the record once it is mended


@dataclass(frozen=True, slots=True)
class Rejection:
    reason: Reason
    detail: str


class Rejected(Exception):
    """Raised inside one record's decoding; never leaves this package."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.rejection = Rejection(reason, detail)
