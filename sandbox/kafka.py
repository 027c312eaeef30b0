"""The three topics that the system publishes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})

METRICS, ALERTS, CHANGES = TOPICS = ("metrics", "alerts", "changes")
REACH_S = 8.0
FLUSH_S = 3.0


class BrokerError(Exception):
    """The broker is not there, or lacks a topic."""


def wire(value: dict[str, Any]) -> bytes:
    """Write JSON as Go's json.Marshal writes a map: keys in order, no spaces, UTF-8, and what HTML minds escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.translate(GO_ESCAPES).encode()


class Publisher(Protocol):
    def publish(self, topic: str, key: str, value: dict[str, Any]) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None: ...


class KafkaPublisher:
    """Sends without waiting; what the broker does not take is counted and told, and never stops the system."""

    def __init__(self, broker: str, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._lost = 0
        self._told = 0
        quiet = {"bootstrap.servers": broker, "log_level": 1, "error_cb": lambda _: None}
        check(quiet, broker)
        self._producer = Producer({**quiet, "acks": "all", "linger.ms": 20, "message.timeout.ms": 60_000, "compression.type": "lz4"})

    def publish(self, topic: str, key: str, value: dict[str, Any]) -> None:
        try:
            self._producer.produce(topic, wire(value), key, on_delivery=self._delivered)
        except BufferError:
            self._lost += 1

    def poll(self) -> None:
        """Look after deliveries, and tell what was lost since last time."""
        self._producer.poll(0)
        if self._lost > self._told:
            self._warn(f"{self._lost - self._told} messages could not be delivered")
            self._told = self._lost

    def close(self) -> None:
        self._producer.flush(FLUSH_S)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._lost += error is not None


def check(settings: dict[str, Any], broker: str) -> None:
    """Raise BrokerError unless the broker answers and has the topics."""
    try:
        there = AdminClient(settings).list_topics(timeout=REACH_S).topics
    except KafkaException as error:
        raise BrokerError(f"no Kafka broker answers at {broker}: {error.args[0].str()}") from error
    missing = [topic for topic in TOPICS if topic not in there]
    if missing:
        raise BrokerError(f"the broker at {broker} has no topic {', '.join(missing)}; create what is missing, then start again")
