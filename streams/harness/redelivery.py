"""A dead letter's way back: what is appended to the topic it came from, and the mark on the dead-letter topic that it was.

The letter goes back as a new record of its own topic and partition, behind everything that was read since, so whoever keeps a
high-water mark by offset takes it as new. It keeps key, value, headers and time stamp of the original; headers tell where that stood.
Letter and mark are appended in one transaction by whoever replays: a letter that has a mark has been brought in, once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from schemas.samples import TYPE_HEADER
from schemas.topics import DLQ
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import Headers, Output, Record

REPLAY_OF = "airra.replay.of"  # topic/partition@offset of the record that was refused
REPLAY_ORIGIN = "airra.replay.origin"  # of the very first one, where a replay was refused again
REPLAY_SKIP = "airra.replay.skip"  # parts of the record that were taken when the rest was refused: 0-3,7
FORWARDED = "airra.error.forwarded"  # the same, on the letter
MARK = "airra.replay.letter"  # on the dead-letter topic: the id of a letter that was brought in
FORWARDED_CHARS = 8_192  # beyond it the letter says so, and cannot be replayed

_PREFIX = "airra.error."
_CONNECT = "__connect.errors."
_RANGES = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*")
TOO_MANY = "too many to tell"
LAST_PART = 1_000_000  # a raw record of 10 MB holds fewer


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as its headers tell of it; `number` is its offset on the dead-letter topic."""

    number: int
    at: int
    id: str
    stage: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    truncated: str  # the parts of the original that are missing, or nothing
    forwarded: str
    record: Record

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


def letter_of(record: Record) -> Letter | None:
    """Read a record of the dead-letter topic; None for a mark, and for what no stage of ours has written."""
    told = {
        name.removeprefix(_PREFIX): value.decode(errors="replace") for name, value in record.headers if name.startswith(_PREFIX)
    }  # the last of a name counts: ours stand behind the original's
    try:
        return Letter(
            number=record.offset,
            at=record.timestamp,
            id=told["id"],
            stage=told["stage"],
            reason=told["reason"],
            detail=told["detail"],
            topic=told["topic"],
            partition=int(told["partition"]),
            offset=int(told["offset"]),
            timestamp=int(told["timestamp"]),
            truncated=told["truncated.parts"],
            forwarded=told.get("forwarded", ""),
            record=record,
        )
    except (KeyError, ValueError):
        return None


def marked(record: Record) -> str | None:
    """Return the id of the letter that this record of the dead-letter topic marks as brought in; None where it is no mark."""
    found = record.header(MARK)
    return None if found is None or record.header(f"{_PREFIX}id") is not None else found.decode(errors="replace")


def mark(letter: Letter) -> Output:
    return Output(DLQ.name, letter.record.key, b"", ((TYPE_HEADER, b"replayed"), (MARK, letter.id.encode())))


def obstacle(letter: Letter, partitions: int, limit: int) -> str | None:
    """Say why a letter cannot go back to its topic, which has so many partitions (0: none) and takes so many bytes; None if it can."""
    if letter.reason == "output_too_large":
        return "it is what a stage could not write, not what it could not read"
    if letter.truncated:
        return f"its {letter.truncated} is not whole: let the producer send it again"
    if letter.forwarded == TOO_MANY or (letter.forwarded and not _RANGES.fullmatch(letter.forwarded)):
        return "too many of its parts were taken to name them: a replay would take them twice"
    if not partitions:
        return f"the topic {letter.topic} is not there"
    size = (
        len(letter.record.value) + len(letter.record.key or b"") + sum(len(name) + len(value) + 8 for name, value in letter.record.headers)
    )
    return f"with its headers it is larger than {letter.topic} takes ({limit} bytes)" if size + 512 > limit else None


def back(letter: Letter, partitions: int, *, historical: bool) -> Output:
    """Return the record to append to the letter's own topic; `historical` marks it so that nothing is done about it any more."""
    kept = [
        (name, value)
        for name, value in letter.record.headers
        if not name.startswith((_PREFIX, _CONNECT)) and name not in {REPLAY_OF, REPLAY_SKIP, REPLAY_ORIGIN}
    ]
    place = letter.place.encode()
    ours = [(REPLAY_OF, place), (REPLAY_ORIGIN, letter.record.header(REPLAY_ORIGIN) or place)]
    if letter.forwarded:
        ours.append((REPLAY_SKIP, letter.forwarded.encode()))
    if historical and letter.record.header(BACKFILL_HEADER) is None:
        ours.append((BACKFILL_HEADER, b"1"))
    partition = letter.partition if letter.partition < partitions else None
    return Output(letter.topic, letter.record.key, letter.record.value, (*kept, *ours), partition)


def ranges(numbers: list[int]) -> str:
    """Write rising numbers as 0-3,7; TOO_MANY where that is longer than a header may be."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
    return text if len(text) <= FORWARDED_CHARS and (not numbers or numbers[-1] <= LAST_PART) else TOO_MANY


def skipped(headers: Headers) -> frozenset[int]:
    """Return the parts of a replayed record that were taken before; what is no list of rising ranges skips nothing."""
    text = next((value.decode(errors="replace") for name, value in reversed(headers) if name == REPLAY_SKIP), "")
    if len(text) > FORWARDED_CHARS or not _RANGES.fullmatch(text):
        return frozenset()
    bounds = [[int(number) for number in part.split("-")] for part in text.split(",")]
    edges = [number for each in bounds for number in each]
    if edges[-1] > LAST_PART or any(after <= before for before, after in pairwise(edges)):
        return frozenset()  # nobody of ours wrote it
    return frozenset(number for each in bounds for number in range(each[0], each[-1] + 1))
