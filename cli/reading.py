"""Read a partition from a command: without a group, up to where it ends now."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings, check, explain
from streams.harness.stage import Record

ANSWER_S = 15.0  # longest wait for one answer of the broker
CONFIG = {"group.id": "airra-cli", "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 50, "log_level": 0}


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the oldest offset that is there and the one after the newest. Takes the consumer's assignment; its configuration is CONFIG.

    The end is what a fetch tells: asked for it, the embedded broker answers with the second offset of the newest batch.
    """
    place = TopicPartition(topic, partition)
    low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_S)
    consumer.assign([TopicPartition(topic, partition, high)])
    message = consumer.poll(ANSWER_S)
    if message is None:
        raise Fatal(f"{topic}: the broker gave no answer within {ANSWER_S:.0f} s")
    if (error := message.error()) is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's constants are spelt so
        raise KafkaException(error)
    return low, max(high, consumer.get_watermark_offsets(place, cached=True)[1])


def read(
    kafka: KafkaSettings, topic: str, partition: int = 0, newest: int | None = None, since: int | None = None, begin: int = 0
) -> Iterator[Record]:
    """Yield the partition's records, its newest so many, or those since then (ms), oldest first, from `begin` on.

    Fatal: the broker does not answer.
    """
    for message in messages(kafka, topic, partition, newest, since, begin):
        yield record_of(message)


def record_of(message: Message) -> Record:
    """Return a message as a fold sees it: one without a value is an empty one."""
    headers = tuple((name, value if isinstance(value, bytes) else b"") for name, value in message.headers() or ())
    value = message.value() or b""
    return Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), value, headers)


def messages(
    kafka: KafkaSettings, topic: str, partition: int = 0, newest: int | None = None, since: int | None = None, begin: int = 0
) -> Iterator[Message]:
    """Yield what `read` makes records of."""
    check(kafka, [topic])  # says what is wrong: no broker, no login, no topic
    consumer = Consumer({**kafka.confluent(), **CONFIG})
    try:
        low, high = bounds(consumer, topic, partition)
        position = max(low, begin) if newest is None else max(low, begin, high - newest)
        if since is not None:
            (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, since)], timeout=ANSWER_S)
            position = found.offset if found.offset >= 0 else high
        consumer.assign([TopicPartition(topic, partition, position)])
        while position < high:
            message = consumer.poll(ANSWER_S)
            if message is None:
                raise Fatal(f"{topic} on {kafka.bootstrap}: no answer within {ANSWER_S:.0f} s")
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's constants are spelt so
                    return  # the last offsets are no records: the marker of a transaction
                raise KafkaException(error)
            position = message.offset() + 1
            yield message
    except KafkaException as error:
        raise Fatal(f"{topic}: {explain(kafka, [error.args[0]])}") from error
    finally:
        consumer.close()
