"""The sink's group: how far it is, when it has caught up, how to set it back."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import TopicSpec
from streams.sink.consumer import GROUP
from streams.sink.rows import TOPICS
from tests.faults.store.sinking import SinkProcess, until

CAUGHT_UP_S = 300.0
LATE_S = 0.3  # a kill falls within this of a commit: in one of the next inserts


class Progress:
    """What a group has committed of its topics, asked of Kafka; the sink's, unless another is named."""

    def __init__(self, bootstrap: str, group: str = GROUP, topics: Sequence[TopicSpec] = TOPICS) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0})
        self._partitions = [TopicPartition(spec.name, number) for spec in topics for number in range(spec.partitions)]

    def behind(self) -> int:
        """Return how many records are not committed yet."""
        try:
            committed = self._consumer.committed(self._partitions, timeout=10)
            ends = [self._consumer.get_watermark_offsets(one, timeout=10)[1] for one in self._partitions]
        except KafkaException:
            return 2**31
        return sum(end - max(0, one.offset) for end, one in zip(ends, committed, strict=True))

    def close(self) -> None:
        self._consumer.close()


@contextlib.contextmanager
def progress(bootstrap: str, group: str = GROUP, topics: Sequence[TopicSpec] = TOPICS) -> Iterator[Progress]:
    found = Progress(bootstrap, group, topics)
    try:
        yield found
    finally:
        found.close()


def caught_up(bootstrap: str, sink: SinkProcess) -> float:
    """Wait until everything is committed; a sink that stops by itself is started again."""

    def reached() -> bool:
        sink.revive()
        return committed.behind() == 0

    with progress(bootstrap) as committed:
        return until(reached, CAUGHT_UP_S, "the sink has caught up")


def struck(committed: Progress, chance: random.Random, sink: SinkProcess) -> bool:
    """Return at some moment while the sink inserts; say whether it had records in hand."""
    before = committed.behind()

    def inserts() -> bool:
        sink.revive()
        return committed.behind() < before or not before

    until(inserts, 60, "the sink inserts")
    time.sleep(chance.random() * LATE_S)
    return committed.behind() > 0


def set_back(bootstrap: str) -> None:
    """Let the group begin anew; a static member counts as there until its session is over."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def gone() -> bool:
        try:
            admin.delete_consumer_groups([GROUP])[GROUP].result(30)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.NON_EMPTY_GROUP:
                return False
            raise
        return True

    until(gone, 60, "the group is empty")
