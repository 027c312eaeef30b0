"""A view: one log, read from its beginning without a group and folded, with a read barrier."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.harness import metrics
from streams.harness.closing import close
from streams.harness.errors import Fatal, Poison, Retryable
from streams.harness.kafka import FETCH_WAIT_MS, MAX_REQUEST_BYTES, KafkaSettings, check
from streams.harness.stage import Record

log = structlog.get_logger()

YIELD_EVERY = 200  # records folded before other tasks have their turn


class ViewUnreadable(Retryable):
    """The view cannot be brought up to date now: whoever wants to act must refuse."""


def to_record(message: Any) -> Record:
    """Return aiokafka's ConsumerRecord as a Record."""
    headers = tuple((key, value) for key, value in message.headers)
    return Record(message.topic, message.partition, message.offset, message.timestamp, message.key, message.value or b"", headers)


class LogView:
    """Folds every record of a topic, in log order within a partition; `fold` is called in the loop that started the view."""

    def __init__(self, kafka: KafkaSettings, topic: str, fold: Callable[[Record], None]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._fold = fold
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()
        self._next: dict[int, int] = {}
        self._target: dict[int, int] = {}  # the end of the log when the view was started
        self._broken: Exception | None = None

    async def start(self) -> None:
        """Connect and read in the background; `ready` once the end of the log, as it was now, is reached."""
        consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=MAX_REQUEST_BYTES,
            request_timeout_ms=30_000,
        )
        self._consumer = consumer
        try:
            await consumer.start()
            partitions = (await asyncio.to_thread(check, self._kafka, [self._topic]))[self._topic]
            consumer.assign([TopicPartition(self._topic, partition) for partition in range(partitions)])
            begin = await consumer.beginning_offsets(consumer.assignment())
            for tp, offset in begin.items():
                consumer.seek(tp, offset)
                self._next[tp.partition] = offset
            self._target = await self._ends()
        except KafkaError as error:
            await self.stop()
            raise Fatal(f"no Kafka at {self._kafka.bootstrap}: {error}") from error
        except Fatal:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._run(consumer), name=f"view {self._topic}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close(consumer)

    @property
    def ready(self) -> bool:
        """Whether the view has folded everything that stood on the log when it started."""
        return self._broken is None and bool(self._next) and self._reached(self._target)

    @property
    def offsets(self) -> Mapping[int, int]:
        """The next offset to fold, by partition."""
        return dict(self._next)

    async def barrier(self, timeout_s: float = 5.0) -> dict[int, int]:
        """Fold up to what is the end of the log now and return it (next offset by partition); ViewUnreadable when it cannot be."""
        try:
            async with asyncio.timeout(timeout_s):
                target = await self._ends()
                await self._until(lambda: self._reached(target))
        except (TimeoutError, KafkaError) as error:
            raise ViewUnreadable(f"{self._topic} was not read to its end within {timeout_s} s: {error!r}") from error
        return target

    async def wait_for(self, partition: int, offset: int, timeout_s: float = 5.0) -> None:
        """Return once this record has been folded; ViewUnreadable after the time-out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: self._next.get(partition, 0) > offset)
        except TimeoutError as error:
            raise ViewUnreadable(f"{self._topic}/{partition}@{offset} was not read within {timeout_s} s") from error

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the view is ready."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: self.ready)
        except TimeoutError as error:
            raise ViewUnreadable(f"{self._topic} was not read to its end within {timeout_s} s") from error

    async def _run(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                # Whole batches: the embedded broker's end offset is the one after the first record of its last batch.
                batch = await consumer.getmany(timeout_ms=1000)
                for messages in batch.values():
                    for count, message in enumerate(messages):
                        self._take(to_record(message))
                        if count % YIELD_EVERY == 0:
                            await asyncio.sleep(0)
                for tp in consumer.assignment():
                    # The position, not the last record: markers of transactions take offsets too.
                    self._move(tp.partition, await consumer.position(tp))
                    metrics.VIEW_OFFSET.labels(self._topic, str(tp.partition)).set(self._next[tp.partition])
                async with self._progress:
                    self._progress.notify_all()
        except Exception as error:
            # Kept, and raised to whoever asks: a reader must never take a dead view for a quiet log.
            log.exception("view_broken", topic=self._topic, error=str(error))
            self._broken = error
            async with self._progress:
                self._progress.notify_all()

    def _move(self, partition: int, position: int) -> None:
        if position < self._next[partition]:  # aiokafka begins anew where the log has become shorter
            raise Fatal(f"{self._topic}/{partition} was read to {self._next[partition]} and is shorter now: was it deleted?")
        self._next[partition] = position

    def _take(self, record: Record) -> None:
        try:
            self._fold(record)
        except Poison as poison:
            metrics.VIEW_POISON.labels(self._topic).inc()
            log.warning("view_poison", topic=record.topic, partition=record.partition, offset=record.offset, reason=poison.reason)

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: self._broken is not None or reached())
        if self._broken is not None:
            raise Fatal(f"the view of {self._topic} is broken: {self._broken}") from self._broken

    def _reached(self, target: Mapping[int, int]) -> bool:
        return all(self._next.get(partition, 0) >= end for partition, end in target.items())

    async def _ends(self) -> dict[int, int]:
        if self._consumer is None:
            raise Fatal(f"the view of {self._topic} is not started")
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        return {tp.partition: end for tp, end in ends.items()}
