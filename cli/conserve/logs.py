"""The logs of one deployment, on its broker or recorded into a folder: what stands in them and how far each group has taken them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cli.reading import CONFIG, bounds, read
from streams.harness.errors import Fatal
from streams.harness.kafka import CHECK_WITHIN_S, KafkaSettings, explain, present
from streams.harness.stage import Record

Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Bounds:
    first: int  # the oldest offset that is still there
    following: int  # after the newest


class Logs(Protocol):
    """Where records are read from; a topic that is not there has no bounds."""

    def bounds(self, topic: str) -> Mapping[int, Bounds]: ...

    def records(self, topic: str, partition: int, begin: int = 0, since: int | None = None) -> Iterator[Record]:
        """Yield records from an offset on, or, where the logs can tell, those since a time (ms), oldest first."""

    def taken(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
        """Return the offset up to which a group has committed each partition."""


class LiveLogs:
    """On the broker, as it is now."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        with self._consumer(CONFIG["group.id"]) as consumer:
            return {number: Bounds(*bounds(consumer, topic, number)) for number in range(present(self._kafka, topic))}

    def records(self, topic: str, partition: int, begin: int = 0, since: int | None = None) -> Iterator[Record]:
        return read(self._kafka, topic, partition, since=since, begin=begin)

    def taken(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
        with self._consumer(group) as consumer:
            places = [TopicPartition(topic, number) for topic in topics for number in range(present(self._kafka, topic))]
            found = consumer.committed(places, timeout=CHECK_WITHIN_S) if places else []
            return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}

    @contextlib.contextmanager
    def _consumer(self, group: object) -> Iterator[Consumer]:
        consumer = Consumer({**self._kafka.confluent(), **CONFIG, "group.id": group})
        try:
            yield consumer
        except KafkaException as error:
            raise Fatal(explain(self._kafka, [error.args[0]])) from error
        finally:
            consumer.close()
