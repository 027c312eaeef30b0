"""Where an effector starts to read its log: where it had come to; one that acts, without that, only where an operator arms it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from streams.harness.arming import armed_after
from streams.harness.errors import Retryable
from streams.harness.kafka import KafkaSettings, first_at
from streams.harness.stage import Effector

log = structlog.get_logger()


class Beginning:
    """Finds the place, and commits it where there was none."""

    def __init__(self, effector: Effector, kafka: KafkaSettings, tp: TopicPartition, unarmed: Callable[[], None]) -> None:
        """`unarmed` is called where an operator is waited for."""
        self._effector = effector
        self._kafka = kafka
        self._tp = tp
        self._unarmed = unarmed
        self._armed = (0, 0)  # heard, and not committed yet: where it begins, and until when (ms) the arming counts
        self.waits = False  # for an operator

    async def find(self, consumer: AIOKafkaConsumer, ours: Callable[[], bool]) -> int:
        """Return the committed offset; without one the beginning, or, where arming is asked for, the end as of now.

        Raises Retryable where the partition went meanwhile.
        """
        committed: int | None = await consumer.committed(self._tp)
        beginning: int = (await consumer.beginning_offsets([self._tp]))[self._tp]
        if committed is not None and committed >= beginning and not await self.beyond(consumer, committed):
            return committed
        if not self._effector.armed_start:
            return beginning
        if self._armed[1] <= time.time() * 1000:  # one that a rebalance came across still counts
            self._armed = await self._arming(consumer)
        if not ours():
            raise Retryable("its log went while it waited for arming")
        try:
            await consumer.commit({self._tp: self._armed[0]})
        except KafkaError as error:
            if error.retriable or isinstance(error, CommitFailedError):
                raise Retryable(f"where it begins could not be committed: {error}") from error
            raise
        place, self._armed = self._armed[0], (0, 0)
        return place

    async def beyond(self, consumer: AIOKafkaConsumer, following: int) -> bool:
        """Say whether the log ends before this offset, which follows one that was read: it is another log, and the offset none of it."""
        end = (await consumer.end_offsets([self._tp]))[self._tp]
        if following <= end:
            return False
        last = await asyncio.to_thread(first_at, self._kafka, self._effector.topic, 0, following - 1)
        return last != following - 1  # the embedded broker's ends stop at the first record of the last batch

    async def _arming(self, consumer: AIOKafkaConsumer) -> tuple[int, int]:
        noticed = (await consumer.end_offsets([self._tp]))[self._tp]
        log.warning("waits_for_arming", effector=self._effector.name, offset=noticed)
        self._unarmed()
        self.waits = True
        try:
            return noticed, (await armed_after(self._kafka)).until
        finally:
            self.waits = False
