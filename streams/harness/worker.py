"""One stage as a Faust app: an agent that folds, a table that holds snapshots, commits that stop at the last snapshot."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from schemas.base import SCHEMA, canonical, unambiguous
from schemas.samples import TYPE_HEADER
from schemas.signals import Tick
from streams.harness import metrics
from streams.harness.app import build_app, changelog_of, group_of
from streams.harness.consumer import crashed
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison, Retryable, Unfit
from streams.harness.exits import EXIT_HOLE, boundary, die, refuse
from streams.harness.fetched import Bounds
from streams.harness.fold import HoleError, Part, fold, restore
from streams.harness.kafka import KafkaSettings, first_at
from streams.harness.lineage import unfit
from streams.harness.producer import KafkaAppender, place
from streams.harness.readiness import Readiness
from streams.harness.saver import Saver
from streams.harness.snapshots import Snapshot
from streams.harness.stage import AnotherLog, Output, Record, Stage
from streams.harness.watchdog import guard, leave

log = structlog.get_logger()

UNACKED_OUTPUTS = 2000  # then the fold waits for the broker
RETRIES_S = (0.1, 0.2, 0.5, 1.0, 2.0)  # of an apply that raised Retryable; then the process stops uncommitted
REREADS = 3  # of a hole, before the log itself is asked
SNAPSHOT_LOOK_S = 0.2
HISTORY_S = 30.0  # after a historical record time does not pass for its partition; if no more come, it goes on


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class StageWorker:
    """Runs one stage. It implements the consumer's `Owner`: it says where to read from and what may be committed."""

    def __init__(
        self,
        stage: Stage[Any],
        kafka: KafkaSettings,
        appender: KafkaAppender,
        *,
        instance: str,
        data_dir: Path,
        partitions: int,
        readiness: Readiness,
        snapshot_every_s: float,
        log_id: str = "",
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.stage = stage
        self.source = stage.topic
        self.parts: dict[int, Part] = {}
        self.partitions = partitions
        self.readiness = readiness
        hooks: Any = {"agent": self._agent, "revoked": self._revoked, "assigned": self._assigned}
        self.app, self.table = build_app(stage, kafka, instance, data_dir, partitions, owner=self, **hooks)
        self._kafka = kafka
        self._log_id = log_id  # "": the broker does not tell
        self._appender = appender
        self._now_ms = now_ms
        self._folding = asyncio.Lock()
        self._saver = Saver(stage, self.app, self.table, kafka, self._folding, self._owned, snapshot_every_s)
        self._records = metrics.RECORDS.labels(stage.name)
        self._outputs = metrics.OUTPUTS.labels(stage.name)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._history_until: dict[int, float] = {}  # by partition whose last record is historical, on the monotonic clock

    async def start(self) -> None:
        """Start the app and return at once; `readiness` tells when it folds."""
        self.readiness.set(self.stage.name, False, "joining its group")
        self._spawn(self._watch_crash(), "crash")
        self._spawn(self.app.start(), "app")
        self._spawn(self._save_loop(), "snapshots")
        self._spawn(guard(self, kafka=self._kafka), "watchdog")
        if self.stage.tick_every_s is not None:
            self._spawn(self._tick_loop(self.stage.tick_every_s), "ticks")

    async def stop(self) -> None:
        """Save, commit, leave off: what comes after starts where this ended."""
        self._stopping = True
        for part in list(self.parts.values()):
            await self._saver.save(part)
        if self.parts:
            await self.app.consumer.commit()
        for task in self._tasks:
            if task.get_name() != "app":
                task.cancel()
        await self.app.stop()

    def _spawn(self, work: Any, name: str) -> None:
        async def guarded() -> None:
            with boundary(f"{self.stage.name} {name}"):
                await work

        self._tasks.append(asyncio.create_task(guarded(), name=name))

    async def _watch_crash(self) -> None:
        reason = await crashed(self.app)
        if not self._stopping:
            die(f"{self.stage.name}: the app ended: {reason!r}")

    # the consumer's Owner

    def opened(self, partition: int, bounds: Bounds) -> int:
        """Load the state and check it against what the group committed: state and position are from one moment or not at all."""
        with boundary(self.stage.name, (Unfit,), partition=partition):
            snapshot = self._saver.load(partition, self._log_id)
            part = restore(self.stage, partition, snapshot, bounds.beginning)
            part.log = self._log_id
            if snapshot is not None and snapshot.log and self._log_id and snapshot.log != self._log_id:
                bounds = self._anew(part, snapshot, bounds)
        following = part.offset + 1
        committed = bounds.committed or 0
        where = f"{self.source}/{partition}"
        if following < committed and not (snapshot is None and committed == bounds.beginning):
            die(f"{self.stage.name}: the snapshot of {where} ends at {part.offset}, but {committed} is committed", EXIT_HOLE)
        if following > bounds.end and first_at(self._kafka, self.source, partition, part.offset) != part.offset:
            die(f"{self.stage.name}: the snapshot of {where} ends at {part.offset}, but the log at {bounds.end}: was the topic deleted?")
        if following < bounds.beginning:
            lost = bounds.beginning - following
            metrics.TRUNCATED.labels(self.stage.name).inc(lost)
            log.error("log_truncated", stage=self.stage.name, partition=partition, lost=lost, reason="retention deleted them unread")
            part.offset = bounds.beginning - 1
            following = bounds.beginning
        self.parts[partition] = part
        self.readiness.set(self.stage.name, True, "")
        log.info("partition_opened", stage=self.stage.name, partition=partition, offset=following, end=bounds.end)
        return following

    def _anew(self, part: Part, snapshot: Snapshot, bounds: Bounds) -> Bounds:
        """Put a state that another log led to before the first record of this one, or raise Unfit; what is committed is not of this log."""
        name = self.stage.name
        if self.stage.another_log is AnotherLog.STOP:
            raise unfit(name, self.source, group_of(name), changelog_of(name))
        metrics.ANEW.labels(name).inc()
        log.error("log_made_anew", stage=name, partition=part.partition, stood_at=snapshot.offset, beginning=bounds.beginning)
        part.offset = part.saved = bounds.beginning - 1
        return replace(bounds, committed=None)

    async def unfit(self, reason: str) -> NoReturn:
        await leave(self)
        refuse(f"{self.stage.name}: {reason}")

    def _owned(self, part: Part) -> bool:
        return self.parts.get(part.partition) is part

    def ceiling(self, partition: int) -> int | None:
        part = self.parts.get(partition)
        return part.saved + 1 if part is not None else None

    def committed(self, partition: int, offset: int) -> None:
        self._saver.committed(partition, offset)

    async def hole(self, partition: int, expected: int, found: int, times: int) -> int:
        metrics.REREAD.labels(self.stage.name).inc()
        log.warning("hole_reread", stage=self.stage.name, partition=partition, expected=expected, found=found, times=times)
        if times < REREADS:
            return expected
        part = self.parts.get(partition)
        first = await asyncio.to_thread(first_at, self._kafka, self.source, partition, expected)
        if part is None or self.parts.get(partition) is not part:
            return expected  # the partition went while the log was asked: what is next for it is another owner's
        if first != found:
            die(f"{self.stage.name}: {self.source}/{partition} lacks {expected} to {found - 1}", EXIT_HOLE)
        # The log itself has none there: retention while we read, a transaction's marker.
        metrics.TRUNCATED.labels(self.stage.name).inc(found - expected)
        log.error("log_gap", stage=self.stage.name, partition=partition, first=expected, following=found)
        part.gaps[expected] = found
        return found

    # the agent

    async def _agent(self, stream: Any) -> None:
        async for event in stream.events():
            with boundary(self.stage.name):
                await self._take(event.message)

    async def _take(self, message: Any) -> None:
        async with self._folding:
            part = self.parts.get(message.partition)
            if part is None or self._stopping:
                return
            headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
            record = Record(
                message.topic,
                message.partition,
                message.offset,
                round(message.timestamp * 1000),
                message.key,
                message.value or b"",
                tuple((str(key), value) for key, value in headers),
            )
            outputs = await self._apply(part, record)
            self._records.inc()
            if part.backfill:
                self._history_until[part.partition] = time.monotonic() + HISTORY_S
            for _, run in groupby(outputs, place):
                part.unacked += await self._send(list(run), record)
        if len(part.unacked) > UNACKED_OUTPUTS:
            await asyncio.gather(*part.unacked[: UNACKED_OUTPUTS // 2])
            del part.unacked[: UNACKED_OUTPUTS // 2]

    async def _apply(self, part: Part, record: Record) -> Any:
        for pause in (*RETRIES_S, None):
            try:
                return fold(self.stage, part, record)
            except HoleError as error:
                die(str(error), EXIT_HOLE)
            except Retryable as error:
                if pause is None:
                    die(f"{self.stage.name}: gave up: {error}", topic=record.topic, partition=record.partition, offset=record.offset)
                await asyncio.sleep(pause)
        return ()

    async def _send(self, outputs: Sequence[Output], record: Record) -> list[Any]:
        """Send what goes to one place."""
        try:
            sent = await self._appender.send_together(outputs)
        except MessageSizeTooLargeError:
            if len(outputs) > 1:
                return [one for output in outputs for one in await self._send([output], record)]
            sent = [await self._appender.send(self._oversized(outputs[0], record))]
        self._outputs.inc(len(outputs))
        for acknowledged in sent:
            acknowledged.add_done_callback(self._settled)
        return sent

    def _oversized(self, output: Output, record: Record) -> Output:
        poison = Poison("output_too_large", f"{len(output.value)} bytes for {output.topic}")
        metrics.POISON.labels(self.stage.name, poison.reason).inc()
        log.error("output_too_large", stage=self.stage.name, topic=output.topic, size=len(output.value), offset=record.offset)
        letter = replace(record, key=output.key, value=output.value, headers=output.headers)
        return dead_letter(letter, self.stage.name, poison, of=_told_apart(output))

    def _settled(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None and not self._stopping:
            die(f"{self.stage.name}: an output was not acknowledged: {error!r}")

    # time and partitions

    async def _save_loop(self) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_LOOK_S)
            for part in list(self.parts.values()):
                if self._saver.due(part, time.monotonic(), len(self.parts)):
                    await self._saver.save(part)
            self._saver.give_back()

    async def _assigned(self, _app: Any, tps: Any, **_: Any) -> None:
        """Say what is ours once its state is recovered: between this and `partition_opened` the stage stands still."""
        mine = sorted(tp.partition for tp in tps if tp.topic == self.source)
        log.info("partitions_assigned", stage=self.stage.name, partitions=mine)

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """Save what is ours and forget it: the next owner, we or another, starts from the changelog."""
        with boundary(self.stage.name):
            for part in list(self.parts.values()):
                await self._saver.save(part)
            self.parts.clear()
            self.readiness.set(self.stage.name, False, "rebalancing")

    async def _tick_loop(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for part in list(self.parts.values()):
                historical = part.backfill and time.monotonic() < self._history_until.get(part.partition, math.inf)
                if historical or part.tick is not None:
                    continue
                at = self._now_ms()
                output = Output(self.source, None, canonical(Tick(at=at)), ((TYPE_HEADER, b"tick"), SCHEMA), partition=part.partition)
                (position,) = await self._appender([output])
                metrics.TICKS.labels(self.stage.name).inc()
                part.tick = position.offset if position.offset > part.offset else None


def _told_apart(output: Output) -> bytes:
    """Return what tells an output from the others of its record."""
    told = hashlib.sha256(unambiguous(output.topic))
    for part in (output.key or b"", output.value):
        told.update(len(part).to_bytes(4, "big") + part)
    return told.digest()
