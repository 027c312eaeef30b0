"""One stage as a Faust app: an agent that folds, a table that holds snapshots, commits that stop at the last snapshot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import structlog
from confluent_kafka.admin import AdminClient

from schemas.base import canonical
from schemas.samples import TYPE_HEADER
from schemas.signals import Tick
from streams.harness import metrics, snapshots
from streams.harness.consumer import Bounds, PromptTables, crashed, use_corrected_consumer
from streams.harness.errors import Retryable
from streams.harness.exits import EXIT_HOLE, boundary, die
from streams.harness.fold import HoleError, Part, fold, restore
from streams.harness.kafka import MAX_REQUEST_BYTES, KafkaSettings
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record, Stage

log = structlog.get_logger()

SESSION_TIMEOUT_S = 10.0  # a member that is silent for so long loses its partitions
HEARTBEAT_S = 2.0
COMMIT_EVERY_S = 0.5
BUFFERED_RECORDS = 500  # batches of 100 kB: 50 MB
UNACKED_OUTPUTS = 2000  # then the fold waits for the broker
RETRIES_S = (0.1, 0.2, 0.5, 1.0, 2.0)  # of an apply that raised Retryable; then the process stops uncommitted
SNAPSHOT_EARLIEST_S = 1.0  # a small state is saved so often while it changes: a restart replays little
SNAPSHOT_DUTY = 20.0  # a snapshot that costs c seconds is taken at most every 20 c
SNAPSHOT_LOOK_S = 0.2
TRIM_AFTER_RECORDS = 500  # of the changelog, or
TRIM_AFTER_BYTES = 64 * 1024 * 1024
TABLE = "state"


def group_of(name: str) -> str:
    return f"airra-{name}"


def changelog_of(name: str) -> str:
    return f"{group_of(name)}-{TABLE}-changelog"


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
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.stage = stage
        self.source = stage.topic
        self.parts: dict[int, Part] = {}
        self.partitions = partitions
        self.readiness = readiness
        folder = data_dir / "faust" / stage.name  # Faust insists on one; memory tables put nothing into it
        folder.mkdir(parents=True, exist_ok=True)
        self.app = faust.App(
            group_of(stage.name),
            **kafka.faust(),
            datadir=str(folder),
            consumer_group_instance_id=f"{stage.name}-{instance}",
            web_enabled=False,
            key_serializer="raw",
            value_serializer="raw",
            topic_partitions=partitions,
            topic_allow_declare=False,  # a mistyped creation silently gives other partitions: topics are created beforehand
            topic_disable_leader=True,
            stream_buffer_maxsize=BUFFERED_RECORDS,
            stream_wait_empty=False,  # what is in hand when partitions go is folded again by the next owner
            stream_recovery_delay=0.0,
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_commit_interval=COMMIT_EVERY_S,
            consumer_max_fetch_size=MAX_REQUEST_BYTES,
            producer_max_request_size=MAX_REQUEST_BYTES,
            producer_acks=-1,
            producer_linger=0,
            worker_redirect_stdouts=False,
            TableManager=PromptTables,
        )
        use_corrected_consumer(self.app, self)
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw", "partitions": partitions}
        self.table = self.app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=partitions, recovery_buffer_size=5)
        self.app.agent(self.app.topic(stage.topic, **raw), name=group_of(stage.name), concurrency=1)(self._agent)
        self.app.on_partitions_revoked.connect(self._revoked)
        self._kafka = kafka
        self._appender = appender
        self._snapshot_every_s = snapshot_every_s
        self._now_ms = now_ms
        self._folding = asyncio.Lock()  # held while a record is folded and its outputs are handed over
        self._saving = asyncio.Lock()  # held while a snapshot is on its way
        self._admin: AdminClient | None = None
        self._written: dict[int, tuple[int, int]] = {}  # changelog records and bytes since the last trim
        self._first: dict[int, int] = {}  # changelog offset at which the last snapshot begins
        self._cost_s: dict[int, float] = {}
        self._saved_at: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Start the app and return at once; `readiness` tells when it folds."""
        self.readiness.set(self.stage.name, False, "joining its group")  # noqa: FBT003
        self._spawn(self._watch_crash(), "crash")
        self._spawn(self.app.start(), "app")
        self._spawn(self._save_loop(), "snapshots")
        if self.stage.tick_every_s is not None:
            self._spawn(self._tick_loop(self.stage.tick_every_s), "ticks")

    async def stop(self) -> None:
        """Save, commit, leave off: what comes after starts where this ended."""
        self._stopping = True
        for part in list(self.parts.values()):
            await self._save(part)
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
        with boundary(self.stage.name, partition=partition):
            snapshot = snapshots.decode(self.table.data, partition)
            part = restore(self.stage, partition, snapshot, bounds.beginning)
        following = part.offset + 1
        committed = bounds.committed or 0
        where = f"{self.source}/{partition}"
        if following < committed and not (snapshot is None and committed == bounds.beginning):
            die(f"{self.stage.name}: the snapshot of {where} ends at {part.offset}, but {committed} is committed", EXIT_HOLE)
        if following > bounds.end:
            die(f"{self.stage.name}: the snapshot of {where} ends at {part.offset}, but the log at {bounds.end}: was the topic deleted?")
        if following < bounds.beginning:
            lost = bounds.beginning - following
            metrics.TRUNCATED.labels(self.stage.name).inc(lost)
            log.error("log_truncated", stage=self.stage.name, partition=partition, lost=lost, reason="retention deleted them unread")
            part.offset = bounds.beginning - 1
            following = bounds.beginning
        self.parts[partition] = part
        log.info("partition_opened", stage=self.stage.name, partition=partition, offset=following, end=bounds.end)
        return following

    def ceiling(self, partition: int) -> int | None:
        part = self.parts.get(partition)
        return part.saved + 1 if part is not None else None

    def hole(self, partition: int, expected: int, found: int, times: int) -> int:
        metrics.REREAD.labels(self.stage.name).inc()
        log.warning("hole_reread", stage=self.stage.name, partition=partition, expected=expected, found=found, times=times)
        if times > 5:  # noqa: PLR2004
            die(f"{self.stage.name}: {self.source}/{partition} lacks {expected} to {found - 1}", EXIT_HOLE)
        return expected

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
            metrics.RECORDS.labels(self.stage.name).inc()
            for output in outputs:
                part.unacked.append(await self._send(output))
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

    async def _send(self, output: Output) -> Any:
        future = await self._appender.send(output)
        metrics.OUTPUTS.labels(self.stage.name).inc()
        future.add_done_callback(self._acknowledged)
        return future

    def _acknowledged(self, future: Any) -> None:
        if not future.cancelled() and (error := future.exception()) is not None and not self._stopping:
            die(f"{self.stage.name}: an output was not acknowledged: {error!r}")

    # snapshots

    async def _save_loop(self) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_LOOK_S)
            for part in list(self.parts.values()):
                due = min(self._snapshot_every_s, max(SNAPSHOT_EARLIEST_S, SNAPSHOT_DUTY * self._cost_s.get(part.partition, 0.0)))
                if part.dirty and time.monotonic() - self._saved_at.get(part.partition, 0.0) >= due:
                    await self._save(part)

    async def _save(self, part: Part) -> None:
        """Make the state durable: first what it has emitted is acknowledged, then the chunks, then the manifest; then it may be committed."""
        async with self._saving:
            begun = time.perf_counter()
            async with self._folding:
                if not part.dirty or self.parts.get(part.partition) is not part:
                    return
                data, offset, unacked = self.stage.snapshot(part.state), part.offset, part.unacked
                part.unacked = []
            cost = time.perf_counter() - begun
            await asyncio.gather(*unacked)
            owner = int(self.app.consumer_generation_id)
            records = snapshots.encode(part.partition, owner, snapshots.Snapshot(offset, part.generation + 1, data))
            first = await self._write(part.partition, records)
            stale = snapshots.superseded(self.table.data, part.partition, owner)
            if stale:
                await self._erase(part.partition, stale)
            part.generation += 1
            part.saved = offset
            self._cost_s[part.partition] = cost
            self._saved_at[part.partition] = time.monotonic()
            metrics.SNAPSHOT_BYTES.labels(self.stage.name, str(part.partition)).set(len(data))
            metrics.SNAPSHOT_SECONDS.labels(self.stage.name).observe(time.perf_counter() - begun)
            await self._trim(part.partition, first, len(records), len(data))

    async def _write(self, partition: int, records: list[tuple[bytes, bytes]]) -> int:
        """Return the changelog offset of the first; the manifest goes when all before it are acknowledged."""
        *chunks, manifest = records
        done = [await future for future in [self.table.send_changelog(partition, key, value) for key, value in chunks]]
        done.append(await self.table.send_changelog(partition, *manifest))
        self.table.data.update(dict(records))
        return int(done[0].offset)

    async def _erase(self, partition: int, keys: Any) -> None:
        for future in [self.table.send_changelog(partition, key, None) for key in keys]:
            await future
        for key in keys:
            self.table.data.pop(key, None)

    async def _trim(self, partition: int, first: int, records: int, size: int) -> None:
        """Delete the changelog below the snapshot before this one: compaction leaves the active segment alone."""
        count, volume = self._written.get(partition, (0, 0))
        count, volume = count + records, volume + size
        keep, self._first[partition] = self._first.get(partition), first
        if keep is not None and (count >= TRIM_AFTER_RECORDS or volume >= TRIM_AFTER_BYTES):
            await asyncio.to_thread(self._delete_below, partition, keep)
            count, volume = 0, 0
        self._written[partition] = (count, volume)

    def _delete_below(self, partition: int, offset: int) -> None:
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

        if self._admin is None:
            self._admin = AdminClient({**self._kafka.confluent(), "log_level": 0})
        try:
            for future in self._admin.delete_records([TopicPartition(changelog_of(self.stage.name), partition, offset)]).values():
                future.result(10)
        except KafkaException as error:
            log.warning("changelog_not_trimmed", stage=self.stage.name, partition=partition, error=str(error))

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """Save what is ours and forget it: the next owner, we or another, starts from the changelog."""
        with boundary(self.stage.name):
            for part in list(self.parts.values()):
                await self._save(part)
            self.parts.clear()
            self.readiness.set(self.stage.name, False, "rebalancing")  # noqa: FBT003

    # ticks

    async def _tick_loop(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for part in list(self.parts.values()):
                if part.backfill or part.tick is not None:
                    continue
                at = self._now_ms()
                output = Output(
                    self.source, None, canonical(Tick(at=at)), ((TYPE_HEADER, b"tick"),), partition=part.partition
                )
                (position,) = await self._appender([output])
                metrics.TICKS.labels(self.stage.name).inc()
                part.tick = position.offset if position.offset > part.offset else None
