"""Append records and wait for the broker's acknowledgement: acks=all, idempotent, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas.base import Position
from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import MAX_REQUEST_BYTES, KafkaSettings
from streams.harness.stage import Output
from streams.harness.topics import max_message_bytes

log = structlog.get_logger()

place = attrgetter("topic", "partition")  # where an output goes
REQUEST_TIMEOUT_MS = 40_000  # a broker that restarts after a crash is back in 10 to 15 s


class KafkaAppender:
    """`Append` on aiokafka. Start it in the loop that uses it; stop flushes."""

    def __init__(self, kafka: KafkaSettings, client: str = "airra") -> None:
        self._kafka = kafka
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._limits: dict[str, int] = {}  # of one record, by topic

    async def start(self) -> KafkaAppender:
        try:
            self._producer = await self._connect(idempotent=True)
        except UnknownError:
            # The embedded broker has no idempotent producers. One batch a partition is in flight at a time, so order holds all
            # the same; a repeated batch is one of the repeats that derived ids are there for.
            log.debug("broker_without_idempotence", bootstrap=self._kafka.bootstrap)
            self._producer = await self._connect(idempotent=False)
        return self

    async def _connect(self, *, idempotent: bool) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._kafka.aiokafka(),
            client_id=self._client,
            acks="all",
            enable_idempotence=idempotent,
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=262_144,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            linger_ms=0,
            metadata_max_age_ms=60_000,
        )
        noise = logging.getLogger("aiokafka.producer.sender")
        level = noise.level
        noise.setLevel(logging.CRITICAL)  # it would log the refused probe for idempotence as an error
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            if isinstance(error, UnknownError) and idempotent:
                raise
            raise Fatal(f"no Kafka at {self._kafka.bootstrap}: {error}") from error
        finally:
            noise.setLevel(level)
        return producer

    async def stop(self) -> None:
        """Flush and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, output: Output) -> asyncio.Future[Any]:
        """Put one record into the send buffer; the future resolves with its acknowledgement.

        Raises MessageSizeTooLargeError where the topic would refuse the record: once sent, its sequence number is spent, and the
        broker would refuse everything that this producer appends to the partition after it.
        """
        producer, headers = self._started(), list(output.headers)
        _refuse_above(await self._limit(output.topic), output, headers)
        return await producer.send(output.topic, value=output.value, key=output.key, partition=output.partition, headers=headers)

    async def send_together(self, outputs: Sequence[Output]) -> list[asyncio.Future[Any]]:
        """Put records that go to one topic, and to one partition where they name it, into the send buffer, in order.

        Where the partition is known there is one future for each batch of them: a future, and a partition from a key, cost more than the
        record. Raises MessageSizeTooLargeError as `send` does, before any of them is sent.
        """
        producer, (topic, partition) = self._started(), place(outputs[0])
        limit = await self._limit(topic)
        for output in outputs:
            _refuse_above(limit, output, list(output.headers))
        partitions = await producer.partitions_for(topic) if partition is None else {partition}
        if len(outputs) == 1 or len(partitions) > 1:
            return [await self.send(output) for output in outputs]
        return [await producer.send_batch(batch, topic, partition=min(partitions)) for batch in _batches(producer, outputs)]

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Fatal("append before start or after stop")
        return self._producer

    async def _limit(self, topic: str) -> int:
        if topic not in self._limits:
            self._limits[topic] = await asyncio.to_thread(max_message_bytes, self._kafka, topic)
        return self._limits[topic]

    async def __call__(self, outputs: Sequence[Output]) -> Sequence[Position]:
        """Append in order and return the positions. Retryable: the broker did not answer in time; Fatal: it refuses."""
        try:
            futures = [await self.send(output) for output in outputs]
            acknowledged = await asyncio.gather(*futures)
        except KafkaError as error:
            kind = Retryable if error.retriable else Fatal
            raise kind(f"append to {', '.join(sorted({output.topic for output in outputs}))}: {error!r}") from error
        return [Position(topic=done.topic, partition=done.partition, offset=done.offset) for done in acknowledged]


def _refuse_above(limit: int, output: Output, headers: list[tuple[str, bytes]]) -> None:
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(output.key, output.value, headers)
    if size > limit:
        raise MessageSizeTooLargeError(f"{size} bytes, but {output.topic} takes {limit}")


def _batches(producer: AIOKafkaProducer, outputs: Sequence[Output]) -> list[BatchBuilder]:
    batches = [producer.create_batch()]
    for output in outputs:
        record = {"key": output.key, "value": output.value, "headers": list(output.headers), "timestamp": None}
        if batches[-1].append(**record) is None:  # it is full; the first record of one always fits
            batches.append(producer.create_batch())
            batches[-1].append(**record)
    return batches
