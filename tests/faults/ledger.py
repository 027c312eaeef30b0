"""What was sent, what came out, and what a linear replay says should have."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.harness.snapshots import decode
from streams.harness.stage import Output, Record
from tests.faults.counting import Counts, counting, replay
from tests.faults.releases import in_first_format

KEYS = 100
BATCH = 100


def ends(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Return first and next offset of each partition; a topic just created has no leader for a moment."""
    for _ in range(50):
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            return {partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10) for partition in partitions}
        except KafkaException:
            time.sleep(0.2)
    raise RuntimeError(f"{topic} has no leader")


def _reader(bootstrap: str) -> Consumer:
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "ledger", "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0}
    )


def read_all(bootstrap: str, topic: str) -> list[Record]:
    """Read a topic from its beginning to its present end, partition by partition."""
    with contextlib.closing(_reader(bootstrap)) as consumer:
        bounds = ends(consumer, topic)
        tps = [TopicPartition(topic, partition, low) for partition, (low, _) in bounds.items()]
        consumer.assign(tps)
        records: list[Record] = []
        unread = {partition for partition, (low, high) in bounds.items() if high > low}
        deadline = time.monotonic() + 60
        while unread and time.monotonic() < deadline:
            for message in consumer.consume(2000, 0.2):
                if not message.error() and message.offset() < bounds[message.partition()][1]:
                    headers = tuple((key, value) for key, value in message.headers() or ())
                    stamp, value = message.timestamp()[1], message.value() or b""
                    records.append(Record(topic, message.partition(), message.offset(), stamp, message.key(), value, headers))
            unread -= {tp.partition for tp in consumer.position(tps) if tp.offset >= bounds[tp.partition][1]}
        return sorted(records, key=lambda record: (record.partition, record.offset))


def length(bootstrap: str, topic: str) -> int:
    """Return how many records the topic has had."""
    with contextlib.closing(_reader(bootstrap)) as consumer:
        return sum(high for _, high in ends(consumer, topic).values())


def committed(bootstrap: str, group: str, topic: str) -> int:
    """Return how many records of a topic a group has committed, all partitions together; where it has committed none, from the first on."""
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0}
    with contextlib.closing(Consumer(settings)) as consumer:
        bounds = ends(consumer, topic)
        found = consumer.committed([TopicPartition(topic, partition) for partition in bounds], timeout=10)
        return sum(max(bounds[tp.partition][0], tp.offset) for tp in found)


class Pump:
    """Sends keyed records at a rate and calls `meanwhile` between batches."""

    def __init__(self, bootstrap: str, topic: str, seed: int, meanwhile: Callable[[], None]) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, "log_level": 0})
        self._topic = topic
        self._random = random.Random(seed)
        self._meanwhile = meanwhile
        self.sent = 0

    def send(self, count: int, per_second: float) -> None:
        begun = time.monotonic()
        for index in range(count):
            self._producer.produce(self._topic, b"x" * self._random.randrange(1, 60), b"k%d" % self._random.randrange(KEYS))
            self.sent += 1
            if index % BATCH == BATCH - 1:
                self._producer.poll(0)
                self._meanwhile()
                time.sleep(max(0.0, begun + index / per_second - time.monotonic()))
        self._producer.poll(0)
        self._meanwhile()
        time.sleep(max(0.0, begun + count / per_second - time.monotonic()))  # a call for a few records takes its time too

    def during(self, seconds: float, per_second: float) -> None:
        self.send(int(seconds * per_second), per_second)

    def flush(self) -> None:
        if self._producer.flush(60):
            raise RuntimeError("the campaign's own records were not acknowledged")


def expected(bootstrap: str, name: str, source: str, target: str) -> tuple[dict[int, Counts], dict[str, Output]]:
    """Return states and outputs (by id) of an uninterrupted run over the log as it is."""
    states, outputs = replay(counting(name, source, target), read_all(bootstrap, source))
    return states, {json.loads(output.value)["id"]: output for output in outputs}


def difference(bootstrap: str, target: str, wanted: dict[str, Output]) -> tuple[int, int, int]:
    """Return how many outputs are lost, how many are wrong (of no such id, or other bytes), how many stand twice."""
    seen: dict[str, set[bytes]] = {}
    total = 0
    for record in read_all(bootstrap, target):
        if record.header("airra.type") == b"tick":
            continue
        total += 1
        seen.setdefault(json.loads(record.value)["id"], set()).add(record.value)
    lost = sum(1 for key in wanted if key not in seen)
    wrong = sum(1 for key, values in seen.items() if key not in wanted or values != {wanted[key].value})
    return lost, wrong, total - len(seen)


def saved_states(bootstrap: str, changelog: str, partitions: Iterable[int]) -> dict[int, tuple[int, Counts]]:
    """Return the last durable state of each partition with its offset, read as a recovery reads it."""
    table: dict[bytes, bytes] = {}
    for record in read_all(bootstrap, changelog):
        if record.key is not None:
            table[record.key] = record.value
    found = {partition: decode(table, partition) for partition in partitions}
    return {
        partition: (snapshot.offset, Counts(in_first_format(snapshot))) for partition, snapshot in found.items() if snapshot is not None
    }
