"""How many raw records wait, by source topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from confluent_kafka import KafkaException, TopicPartition


class Watermarks(Protocol):
    """The part of a Kafka consumer that is needed here."""

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int] | None: ...


def lags(consumer: Watermarks, topics: Iterable[str], following: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """Return how many records of each topic were appended and not yet read, as the newest fetch knew it: the broker is not asked.

    `following` is the next offset of each partition that was read. One of which nothing was read yet counts as nothing: if it has
    records, they come with the next fetch.
    """
    waiting = dict.fromkeys(topics, 0)
    for (topic, partition), offset in following.items():
        waiting[topic] = waiting.get(topic, 0) + max(0, _end(consumer, topic, partition) - offset)
    return waiting


def _end(consumer: Watermarks, topic: str, partition: int) -> int:
    try:
        found = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
    except KafkaException:  # nothing was fetched of it yet
        return 0
    return found[1] if found is not None else 0
