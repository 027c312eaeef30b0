"""Copy every topic of one cluster into another, as a mirror or a restore does: the records are the same, their offsets are not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.ledger import read_all

KEPT = ("cleanup.policy", "message.timestamp.type", "max.message.bytes", "retention.ms")


def mirror(source: str, target: str, wanted: Callable[[str], bool]) -> int:
    """Copy the topics whose names are wanted; return how many records. The first of each partition comes twice: offsets shift by one."""
    admin = AdminClient({"bootstrap.servers": source, "log_level": 0})
    found = {
        name: len(topic.partitions)
        for name, topic in admin.list_topics(timeout=10).topics.items()
        if not name.startswith("__") and wanted(name)
    }
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
    configs = {resource.name: future.result(10) for resource, future in admin.describe_configs(resources).items()}
    logs = [NewLog(name, count, {key: str(configs[name][key].value) for key in KEPT}) for name, count in found.items()]
    create_topics(KafkaSettings(target), logs)
    producer = Producer({"bootstrap.servers": target, "enable.idempotence": True, "message.max.bytes": 12_000_000, "log_level": 0})
    copied = 0
    for name in found:
        begun: set[int] = set()
        for record in read_all(source, name):
            for _ in range(1 if record.partition in begun else 2):
                value = record.value or None if name.endswith("-changelog") else record.value  # a deletion stays one
                producer.produce(name, value, record.key, record.partition, headers=list(record.headers), timestamp=record.timestamp)
                copied += 1
            begun.add(record.partition)
            producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the mirror's records were not acknowledged")
    return copied


def mirror_offsets(source: str, target: str, group: str, topic: str) -> dict[int, int]:
    """Give a group the places in the other cluster that it has committed here, as a restore of the offsets does; return those there.

    Each is one further on, as the mirror's records are.
    """
    with _of(source, group) as here, _of(target, group) as there:
        places = [TopicPartition(topic, number) for number in here.list_topics(topic, timeout=10).topics[topic].partitions]
        found = [place for place in here.committed(places, timeout=10) if place.offset > 0]
        moved = [TopicPartition(topic, place.partition, place.offset + 1) for place in found]
        if moved:
            there.commit(offsets=moved, asynchronous=False)
        return {place.partition: place.offset for place in moved}


def _of(bootstrap: str, group: str) -> contextlib.closing[Consumer]:
    return contextlib.closing(Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0}))
