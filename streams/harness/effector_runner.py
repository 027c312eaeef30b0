"""Run effectors: fold the log, perform what is pending, commit only below the earliest unfinished intent."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.base import Position
from streams.harness import metrics
from streams.harness.beginning import Beginning
from streams.harness.closing import close
from streams.harness.dlq import dead_letter
from streams.harness.errors import Fatal, Poison, Retryable
from streams.harness.exits import EXIT_STUCK, boundary, die
from streams.harness.kafka import (
    FETCH_WAIT_MS,
    HEARTBEAT_MS,
    MAX_REQUEST_BYTES,
    NEVER_POLLED_MS,
    SESSION_TIMEOUT_MS,
    KafkaSettings,
)
from streams.harness.outbox import Outbox
from streams.harness.pending import Desk
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import Effector, Intent, Output
from streams.harness.standby import until_nobodys
from streams.harness.view import to_record

log = structlog.get_logger()

POLL_MS = 200  # how late a back-off that is over is noticed
COMMIT_EVERY_S = 1.0
LEAVE_WITHIN_S = 2.0
FINISH_WITHIN_S = 2.0  # on a stop; what is cut off is looked up by the next start
AGAIN_S = 1.0  # until a log is taken over again that could not be


class EffectorRunner:
    """Runs one effector on its one-partition topic; a second process of the same effector is a hot standby."""

    def __init__(
        self,
        effector: Effector,
        kafka: KafkaSettings,
        appender: KafkaAppender,
        *,
        instance: str,
        readiness: Readiness,
        randomness: random.Random | None = None,
    ) -> None:
        self.effector = effector
        self._kafka = kafka
        self._appender = appender
        self._outbox = Outbox(appender)
        self._instance = instance
        self._readiness = readiness
        self._desk = Desk(effector.concurrency, randomness or random.Random(instance))
        self._group = f"airra-{effector.name}"
        self._tp = TopicPartition(effector.topic, 0)
        self._beginning = Beginning(effector, kafka, self._tp, self._say_unarmed)
        self._owned = asyncio.Event()
        self._turn = 0  # counts how often the partition went
        self._next: int | None = None  # the next offset to fold; None before the first assignment
        self._committed = -1
        self._committed_at = 0.0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._consumer: AIOKafkaConsumer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the group and return; the work goes on in the background."""
        self._readiness.set(self.effector.name, False, "joining its group")
        consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka(),
            group_id=self._group,
            group_instance_id=f"{self.effector.name}-{self._instance}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=NEVER_POLLED_MS,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=MAX_REQUEST_BYTES,
        )
        self._consumer = consumer
        await consumer.start()
        consumer.subscribe([self.effector.topic], listener=_Listener(self))
        self._tasks = [
            asyncio.create_task(self._run(consumer), name=f"effector {self.effector.name}"),
            asyncio.create_task(self._stand_by(consumer), name=f"standby {self.effector.name}"),
        ]

    async def stop(self) -> None:
        """Let what is being performed finish for a moment, and cut off the rest."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running.values(), timeout=FINISH_WITHIN_S)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.pause()
        await self.effector.end()
        if self._consumer is not None:
            await close(self._consumer)

    async def pause(self) -> None:
        """Perform nothing more: the partition is not ours. An intent that is cut off is looked up by whoever is next."""
        self._owned.clear()
        self._turn += 1
        await self._cut_off()
        self._readiness.set(self.effector.name, False, "not assigned")

    async def _cut_off(self) -> None:
        running = list(self._running.values())  # they stay there until they are over: whoever else cuts off waits, too
        for task in running:
            if not task.cancelling():
                task.cancel()
        if running:
            await asyncio.wait(running)
        self._desk.forget()

    def resume(self, assigned: Sequence[TopicPartition]) -> None:
        if self._tp in assigned:
            self._owned.set()
            if self._beginning.waits:
                self._say_unarmed()

    def _say_unarmed(self) -> None:
        self._readiness.set(self.effector.name, False, "waits for arming: airra act arm")

    async def append(self, outputs: Sequence[Output]) -> Sequence[Position]:
        """`Append` as the effector gets it: nothing is appended once the partition is lost."""
        if not self._owned.is_set():
            raise Retryable(f"{self.effector.name} is not assigned")
        return await self._outbox.append(outputs)

    async def _run(self, consumer: AIOKafkaConsumer) -> None:
        with boundary(self.effector.name):
            while True:
                await self._owned.wait()
                try:
                    await self._own(consumer)
                except (IllegalStateError, Retryable) as error:
                    if self._tp not in consumer.assignment():
                        self._owned.clear()  # it went while it was being asked for
                    elif self._owned.is_set():
                        self._readiness.set(self.effector.name, False, str(error))
                        log.warning("effector_begins_again", effector=self.effector.name, reason=str(error), again_in_s=AGAIN_S)
                        await asyncio.sleep(AGAIN_S)

    async def _stand_by(self, consumer: AIOKafkaConsumer) -> None:
        from streams.harness.consumer import leave_group  # noqa: PLC0415 - imports Faust, which takes a second

        with boundary(self.effector.name):
            await until_nobodys(self._kafka, self._group, self.effector.topic, self._owned.is_set, self._standing_by)
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await leave_group(consumer)
            die(f"{self.effector.name}: its log belongs to nobody and this member does not get it", EXIT_STUCK)

    def _standing_by(self) -> None:
        self._readiness.set(self.effector.name, True, "standby")

    async def _own(self, consumer: AIOKafkaConsumer) -> None:
        turn = self._turn

        def ours() -> bool:
            return self._owned.is_set() and self._turn == turn  # it may go and come back while one fetch is waited for

        if self._next is None:
            self._next = self._committed = await self._beginning.find(consumer, ours)
        # Of an earlier turn: what the producer still brings to the log is read before anything is done again.
        await self._cut_off()
        await self._outbox.settled()
        consumer.seek(self._tp, self._next)
        await self._catch_up(consumer, ours)
        if not ours():
            return
        await self.effector.begin(self.append)
        # Whoever had it before may have begun something until that stood on the log: it is read before anything is done.
        await self._catch_up(consumer, ours)
        if not ours():
            return
        self._readiness.set(self.effector.name, True, "")
        log.info("effector_began", effector=self.effector.name, offset=self._next, pending=len(self.effector.pending()))
        while ours():
            await self._fold(consumer, ours)
            if ours():
                if not self._stopping:
                    self._perform_due()
                await self._commit(consumer)

    async def _catch_up(self, consumer: AIOKafkaConsumer, ours: Callable[[], bool]) -> None:
        """Fold what the log holds now; a log that begins after what was read lacks something, one that ends before it is another."""
        beginning = (await consumer.beginning_offsets([self._tp]))[self._tp]
        if self._next is not None and ours() and beginning > self._next:
            raise Fatal(f"{self.effector.topic} was read to {self._next} and begins at {beginning} now: what stood between is gone")
        end = (await consumer.end_offsets([self._tp]))[self._tp]
        if self._next is not None and end < self._next and await self._beginning.beyond(consumer, self._next):
            raise Fatal(f"{self.effector.topic} was read to {self._next} and is shorter now: was it deleted?")
        while ours() and (self._next or 0) < end:
            await self._fold(consumer, ours)

    async def _fold(self, consumer: AIOKafkaConsumer, ours: Callable[[], bool]) -> None:
        batch = await consumer.getmany(self._tp, timeout_ms=POLL_MS)
        position = await consumer.position(self._tp) if ours() else 0
        if not ours():
            return  # it may be ours again, read on from what another owner committed: what stands before that was never folded here
        if self._next is not None and position < self._next:
            # aiokafka begins anew where the log has become shorter: it is taken over again, which sees whether it has.
            raise Retryable(f"its place in {self.effector.topic} was lost: {position} follows instead of {self._next}")
        for message in batch.get(self._tp, ()):
            record = to_record(message)
            if self._next is not None and record.offset < self._next:
                continue
            try:
                self.effector.fold(record)
            except Poison as poison:
                metrics.POISON.labels(self.effector.name, poison.reason).inc()
                await self._appender([dead_letter(record, self.effector.name, poison)])
            self._next = record.offset + 1
            metrics.RECORDS.labels(self.effector.name).inc()
        if not batch and self._next is not None:
            self._next = max(self._next, position)  # the markers of transactions take offsets too

    def _perform_due(self) -> None:
        pending = self.effector.pending()
        metrics.PENDING.labels(self.effector.name).set(len(pending))
        for intent in self._desk.due(pending, asyncio.get_running_loop().time()):
            self._running[intent.id] = asyncio.create_task(self._perform(intent), name=f"{self.effector.name} {intent.id}")

    async def _perform(self, intent: Intent) -> None:
        result = "done"
        try:
            with boundary(self.effector.name, intent=intent.id):
                try:
                    await self.effector.perform(intent, self.append)
                    self._desk.performed(intent.id)
                except Retryable as error:
                    result = "retried"
                    pause = self._desk.failed(intent.id, asyncio.get_running_loop().time())
                    log.warning("perform_retried", effector=self.effector.name, intent=intent.id, error=str(error), pause_s=round(pause, 2))
            metrics.PERFORMED.labels(self.effector.name, result).inc()
        finally:
            self._running.pop(intent.id, None)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        now = asyncio.get_running_loop().time()
        if self._next is None or now - self._committed_at < COMMIT_EVERY_S:
            return
        self._committed_at = now
        offset = min([self._next, *(intent.offset for intent in self.effector.pending())])
        if offset <= self._committed:
            return
        try:
            await consumer.commit({self._tp: offset})
            self._committed = offset
        except CommitFailedError:
            log.info("commit_refused", effector=self.effector.name, reason="the group is rebalancing")
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("commit_later", effector=self.effector.name, error=str(error))


class _Listener(ConsumerRebalanceListener):
    def __init__(self, runner: EffectorRunner) -> None:
        self._runner = runner

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            await self._runner.pause()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._runner.resume(list(assigned))
