"""Columns of what was consumed from one source partition, offsets strictly rising."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import le

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from streams.harness.stage import Headers, Record

PIECE_BYTES = 4 * 1024 * 1024  # of values that are decoded at once, and one record more


@dataclass(frozen=True, slots=True)
class Read:
    messages: Sequence[Message]
    values: list[bytes | None]
    offsets: list[int]
    stamps: list[int]  # Kafka timestamps in ms; 0 where there is none
    repeated: int  # messages that had been read before
    headers: dict[int, Headers]  # by index, of the messages that have any

    def part(self, begin: int, end: int) -> Read:
        """Return these of the messages, as if nothing else had been read."""
        rows = slice(begin, end)
        headers = {index - begin: of for index, of in self.headers.items() if begin <= index < end}
        return Read(self.messages[rows], self.values[rows], self.offsets[rows], self.stamps[rows], 0, headers)

    def pieces(self) -> Iterator[Read]:
        """Cut where it is long: a record of a batching agent may hold ten thousand samples."""
        if sum(map(len, filter(None, self.values))) < PIECE_BYTES and self.values:
            yield self
            return
        begin = size = 0
        for index, value in enumerate(self.values):
            size += len(value or b"")
            if size >= PIECE_BYTES:
                yield self.part(begin, index + 1)
                begin, size = index + 1, 0
        if begin < len(self.values):
            yield self.part(begin, len(self.values))

    def record(self, index: int) -> Record:
        message = self.messages[index]
        value, headers = self.values[index] or b"", self.headers.get(index, ())
        return Record(message.topic(), message.partition(), self.offsets[index], self.stamps[index], message.key(), value, headers)

    def records(self) -> list[Record]:
        return [self.record(index) for index in range(len(self.messages))]


def read(messages: Sequence[Message]) -> Read:
    """Leave out what was read twice: one call may return a partition from before and after it moved away and back."""
    offsets = [message.offset() for message in messages]
    repeated = 0
    if any(map(le, offsets[1:], offsets)):
        kept: list[Message] = []
        newest = -1
        for message, offset in zip(messages, offsets, strict=True):
            if offset > newest:
                kept.append(message)
                newest = offset
        repeated = len(messages) - len(kept)
        messages = kept
        offsets = [message.offset() for message in messages]
    values = [message.value() for message in messages]
    stamps = [at if at > 0 and kind != TIMESTAMP_NOT_AVAILABLE else 0 for message in messages for kind, at in (message.timestamp(),)]
    headers = {index: _headers(of) for index, of in enumerate([message.headers() for message in messages]) if of}
    return Read(messages, values, offsets, stamps, repeated, headers)


def _headers(found: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    return tuple((name, value or b"") for name, value in found or ())
