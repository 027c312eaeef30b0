"""Topics of a real Apache Kafka: made, read from their beginning to their end, and their log as it is on the disk."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.golden.messages import Message
from tests.kafka.broker import KafkaBroker

MOST = 2_000  # messages of one recording


def make(broker: KafkaBroker, *names: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result(30)


def count(broker: KafkaBroker, name: str) -> int:
    """Return how many messages a topic has; none where its leader is not there yet."""
    consumer = _consumer(broker)
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)[1])
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
            raise
        return 0
    finally:
        consumer.close()


def read(broker: KafkaBroker, name: str) -> list[Message]:
    consumer = _consumer(broker)
    consumer.assign([TopicPartition(name, 0, 0)])
    found: list[Message] = []
    try:
        while len(found) < MOST:
            message = consumer.poll(30)
            if message is None:
                raise TimeoutError(f"topic {name} says nothing, not even its end")
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                break
            if error is not None:
                raise RuntimeError(error.str())
            headers = tuple((key, value or b"") for key, value in message.headers() or ())
            found.append(Message(message.value(), message.key(), headers, message.timestamp()[1]))
    finally:
        consumer.close()
    return found


def segment(broker: KafkaBroker, name: str) -> bytes:
    """Return a topic's log as its producer packed it."""
    return (broker.folder / "logs" / f"{name}-0" / "00000000000000000000.log").read_bytes()


def _consumer(broker: KafkaBroker) -> Consumer:
    return Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "golden", "enable.auto.commit": False, "enable.partition.eof": True}
    )
