"""Partitions that are not read on for a while: what a record of theirs needs is not there now. The others go on."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from confluent_kafka import Consumer, TopicPartition

from streams.normalise import metrics
from streams.normalise.raw import Waits

HOLD_S = 5.0  # before a partition is read on whose record needs a schema of a registry that is away

log = structlog.get_logger()


class Held:
    """By (topic, partition), until when on the monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, int], float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def hold(self, consumer: Consumer, source: tuple[str, int], offset: int, away: Waits) -> None:
        """Come back to this offset after a while."""
        place = TopicPartition(*source, offset)
        consumer.pause([place])
        consumer.seek(place)
        self._until[source] = time.monotonic() + HOLD_S
        metrics.HELD.set(len(self))
        log.warning("partition_held", partition=f"{source[0]}/{source[1]}", offset=offset, reason=str(away), again_in_s=HOLD_S)

    def go_on(self, consumer: Consumer) -> None:
        """Resume what was held long enough."""
        due = [source for source, at in self._until.items() if at <= time.monotonic()]
        for source in due:
            del self._until[source]
        if due:
            consumer.resume([TopicPartition(*source) for source in due])
            metrics.HELD.set(len(self))

    def let_go(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Resume what goes to another: the client keeps a pause over a move, and what comes back would not be read any more."""
        held = [one for one in partitions if (one.topic, one.partition) in self._until]
        if held:
            consumer.resume(held)
        for one in held:
            del self._until[one.topic, one.partition]
        metrics.HELD.set(len(self))
