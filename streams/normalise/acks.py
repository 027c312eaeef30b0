"""Append records and know when the broker has acknowledged every one of a batch; an error anywhere is fatal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from confluent_kafka import KafkaError, Producer

from streams.harness.errors import Fatal
from streams.harness.kafka import MAX_REQUEST_BYTES, KafkaSettings
from streams.harness.stage import Output

DELIVERED_WITHIN_S = 60.0  # beyond it the process ends uncommitted and the supervisor starts another
_POLL_S = 0.05
_FULL_POLL_S = 0.1


class Appender(Protocol):
    """The part of a Kafka producer that is needed here."""

    def produce(self, topic: str, **record: object) -> None: ...

    def poll(self, timeout: float) -> int: ...


def producer(kafka: KafkaSettings) -> Producer:
    return Producer(
        {
            **kafka.confluent(),
            "log_level": 0,
            "acks": "all",
            "enable.idempotence": True,  # a retry neither doubles nor overtakes: definitions stay before their rows
            "linger.ms": 2,
            "message.max.bytes": MAX_REQUEST_BYTES,
            "delivery.timeout.ms": int(DELIVERED_WITHIN_S * 1000),
            "partitioner": "murmur2_random",  # as partitioner.py, for the records that name no partition
        }
    )


class Flight:
    """The records of one batch on their way, and what may be committed once they have arrived."""

    def __init__(self, positions: dict[tuple[str, int], int]) -> None:
        self.positions = positions
        self.waiting = 0
        self.error: KafkaError | None = None

    def delivered(self, error: KafkaError | None, _message: object) -> None:
        self.waiting -= 1
        if error is not None:
            self.error = self.error or error


def send(appender: Appender, outputs: Iterable[Output], flight: Flight) -> None:
    """Hand records to the producer in their order; a full queue is waited for."""
    for output in outputs:
        record: dict[str, object] = {
            "value": output.value,
            "key": output.key,
            "headers": list(output.headers),
            "on_delivery": flight.delivered,
        }
        if output.partition is not None:
            record["partition"] = output.partition
        flight.waiting += 1
        while True:
            try:
                appender.produce(output.topic, **record)
                break
            except BufferError:
                appender.poll(_FULL_POLL_S)
                if flight.error is not None:
                    raise Fatal(f"a record was not acknowledged: {flight.error.str()}") from None
    appender.poll(0)


def wait(appender: Appender, flight: Flight, clock: Callable[[], float] = time.monotonic) -> None:
    """Return once all of a flight is acknowledged; raise Fatal where one record is not."""
    deadline = clock() + DELIVERED_WITHIN_S + 5  # librdkafka gives up first and says why
    while flight.waiting and flight.error is None and clock() < deadline:
        appender.poll(_POLL_S)
    if flight.error is not None:
        raise Fatal(f"a record was not acknowledged: {flight.error.str()}")
    if flight.waiting:
        raise Fatal(f"{flight.waiting} records were not acknowledged within {DELIVERED_WITHIN_S:.0f} s")
