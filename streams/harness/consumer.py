"""Faust's consumer, corrected: with recovery.py the one place that touches Faust's private parts (facts: docs/adr/0002-harness.md).

What it changes, on the source topic of a stage only:
- Records are delivered to the agent in an unbroken run of offsets that starts where the stage's state ends. What was fetched before a
  seek and arrives after it is told by how often its partition had been sought, and dropped; of a changelog too, where it would make the
  recovery pass over what the seek asked for. What a rebalance drops, what comes twice: told by its offset. A hole is closed by seeking
  back, here, between two fetches, where nothing waits for anything.
- A changelog is fetched and taken only while its recovery reads it, and a recovery that gets nothing reads on from where it is.
- The offset to commit is the stage's word (its last durable snapshot), never a count of acknowledgements.
- A partition without a committed offset starts at the beginning of the log.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import faust
import structlog
from faust.transport.drivers import aiokafka as driver

from streams.harness import metrics
from streams.harness.contiguous import Contiguous
from streams.harness.errors import Unfit
from streams.harness.fetched import Bounds, Fetched, Owner
from streams.harness.kafka import FETCH_WAIT_MS
from streams.harness.recovery import Renewal

POLL_S = 0.5  # one fetch waits at most so long for records
PAUSED_POLL_S = 0.02  # while no partition is active (between recovery and resumption); Faust's own second delays every restart

log = structlog.get_logger()


class CorrectedThread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread: short fetches, fetches that know their seek, and the calls that Faust does not have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sought: Counter[Any] = Counter()  # how often each partition was; written in this thread alone

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1500 ms. A fetch in flight delays the first one after a seek by so much, once each at recovery and resumption.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        # Faust reads uncommitted unless it runs transactions itself: what a producer has aborted is nobody's record.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Fetched:
        records = await super()._fetch_records(*args, **kwargs)
        return Fetched(records, {tp: self.sought[tp] for tp in records})  # nothing was awaited since they were handed out

    async def _seek_wait(self, consumer: Any, partitions: Mapping[Any, int | None]) -> None:
        # An offset that is none comes from a recovery that a second rebalance has just ended: Faust would crash on it.
        known = {tp: offset for tp, offset in partitions.items() if offset is not None and offset >= 0}
        self.sought.update(known.keys())
        await super()._seek_wait(consumer, known)

    async def bounds(self, tps: list[Any]) -> dict[Any, Bounds]:
        return await self.call_thread(self._bounds, tps)

    async def seek_all(self, offsets: Mapping[Any, int]) -> None:
        await self.call_thread(self._seek_all, offsets)

    async def leave(self) -> None:
        await self.call_thread(self._leave)

    async def _bounds(self, tps: list[Any]) -> dict[Any, Bounds]:
        kafka = self._ensure_consumer()
        beginning, end = await kafka.beginning_offsets(tps), await kafka.end_offsets(tps)
        return {tp: Bounds(await kafka.committed(tp), beginning[tp], end[tp]) for tp in tps}

    def seek_soon(self, offsets: Mapping[Any, int]) -> None:
        """Seek without waiting for it."""
        self.thread_loop.call_soon_threadsafe(self._seek, offsets)

    def give_back(self, fetched: Fetched, offsets: Mapping[Any, int]) -> None:
        """Seek back to these offsets, of what was handed out and is not taken, unless it was sought since."""
        self.thread_loop.call_soon_threadsafe(
            lambda: self._seek({tp: at for tp, at in offsets.items() if self.sought[tp] == fetched.sought[tp]})
        )

    def position_of(self, tp: Any) -> int | None:
        """Return where the client reads on; None where it is not assigned."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment  # noqa: SLF001
        return assignment.state_value(tp)._position if tp in assignment.tps else None  # noqa: SLF001

    async def _seek_all(self, offsets: Mapping[Any, int]) -> None:
        self._seek(offsets)

    def _seek(self, offsets: Mapping[Any, int]) -> None:
        kafka = self._ensure_consumer()
        for tp, offset in offsets.items():
            if tp in kafka.assignment():
                self.sought[tp] += 1
                kafka.seek(tp, offset)

    async def _leave(self) -> None:
        await leave_group(self._ensure_consumer())


async def leave_group(consumer: Any) -> None:
    """Leave the group although the membership is static: what the group holds for us is of no use."""
    coordinator = consumer._coordinator  # noqa: SLF001
    coordinator._group_instance_id = None  # noqa: SLF001 - with it aiokafka never leaves
    await coordinator._maybe_leave_group()  # noqa: SLF001


class CorrectedConsumer(driver.Consumer):
    """See the module's text."""

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._owner: Owner = transport.owner
        self.run = Contiguous()
        self._moved = 0  # counts everything after which a record in hand belongs to the past
        self._holes: dict[Any, tuple[int, int]] = {}  # expected offset, how often it was missing
        self._renewal = Renewal()

    def _new_consumer_thread(self) -> CorrectedThread:
        return CorrectedThread(self, loop=self.loop, beacon=self.beacon)

    def _set_active_tps(self, tps: Any) -> Any:
        """Begin with nothing: what is assigned is fetched once the recovery says so, and not for the moment before Faust pauses it."""
        active = super()._set_active_tps(tps)
        active.clear()
        return active

    def _sources(self) -> list[Any]:
        return sorted(tp for tp in self.assignment() if tp.topic == self._owner.source)

    def stop_flow(self) -> None:
        self._moved += 1
        self.run.close()
        super().stop_flow()

    async def perform_seek(self) -> None:
        """Load each partition's state and seek to where it ends."""
        self._moved += 1
        self.run.close()
        bounds = await self._thread.bounds(self._sources())
        try:
            offsets = {tp: self._owner.opened(tp.partition, limits) for tp, limits in bounds.items()}
        except Unfit as error:
            await self._owner.unfit(str(error))
        await self._thread.seek_all(offsets)
        for tp, limits in bounds.items():
            self._committed_offset[tp] = limits.committed
            self.run.open(tp.partition, offsets[tp])

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped = (self._stopped.is_set, fetcher._stopped.is_set)  # noqa: SLF001
        try:
            while not any(check() for check in stopped):
                await asyncio.sleep(0)
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                elif active := self._wanted():
                    await self._deliver(await self._getmany(active, POLL_S))
                    self._renew()
                else:
                    await self.sleep(PAUSED_POLL_S)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    def _wanted(self) -> set[Any]:
        """Return what to fetch now: of the source only what is opened. What is handed out between seek and opening would be lost."""
        active = self._get_active_partitions()
        return {tp for tp in active if tp.topic != self._owner.source or self.run.expected(tp.partition) is not None}

    async def _deliver(self, fetched: Fetched) -> None:
        """Hand records to the agent (or, of a changelog, to the recovery)."""
        records = self._taken(fetched)
        if not records or not self.flow_active:
            return
        moved = self._moved
        holes: dict[Any, int] = {}
        for tp, record in self.scheduler.iterate(records):
            if tp.topic == self._owner.source:
                if self.run.beyond(tp.partition, record.offset):
                    holes.setdefault(tp, record.offset)
                    continue
                if record.offset != self.run.expected(tp.partition):
                    continue  # it was delivered, or nothing is known of this partition yet
            elif record.offset < (self._read_offset[tp] or 0):
                continue
            await self.wait_first(self.callback(self._to_message(tp, record)), self.suspend_flow.wait())
            if moved != self._moved or not self.flow_active:
                return  # dropped by a rebalance: the seek that ends it says where to go on
            if tp.topic == self._owner.source:
                self.run.take(tp.partition, record.offset)
            else:
                self._read_offset[tp] = record.offset
        for tp, found in holes.items():
            await self._reread(tp, found)

    def _taken(self, fetched: Fetched) -> dict[Any, Any]:
        """Return what is to be delivered; of a changelog that the recovery has not resumed nothing, and it is fetched again.

        A fetch that began in the recovery before may hand out what this one has sought already. Taken, it would be cleared from Faust's
        queue as the flow is resumed; dropped, it would never come again.
        """
        records = fetched.current(self._thread.sought)
        active = self._get_active_partitions() if self.flow_active else ()
        early = {tp: found[0].offset for tp, found in records.items() if tp.topic != self._owner.source and tp not in active and found}
        if early:
            self._thread.give_back(fetched, early)
        return {tp: found for tp, found in records.items() if tp not in early}

    async def _reread(self, tp: Any, found: int) -> None:
        expected = self.run.expected(tp.partition)
        if expected is None or not self.flow_active:
            return
        before, times = self._holes.get(tp, (-1, 0))
        self._holes[tp] = (expected, times + 1 if before == expected else 1)
        offset = await self._owner.hole(tp.partition, expected, found, self._holes[tp][1])
        if self.run.expected(tp.partition) != expected:
            return  # a rebalance came between: its seek says where to go on
        await self._thread.seek_all({tp: offset})
        if self.run.expected(tp.partition) == expected:
            self.run.open(tp.partition, offset)

    def _renew(self) -> None:
        """Read a recovery's changelogs on from where it is, where it has more to read and got nothing for long."""
        if reached := self._renewal.due(self.app.tables.recovery, time.monotonic()):
            metrics.RENEWED.labels(self._owner.source).inc()
            log.warning("recovery_renewed", source=self._owner.source, **self.recovery())
            for tp in reached:
                self._read_offset.pop(tp, None)
            self._thread.seek_soon(reached)

    def on_buffer_full(self, tp: Any) -> None:
        """Do nothing: delivery waits for the agent. Faust stops fetching and looks again a second later."""

    def on_buffer_drop(self, tp: Any) -> None:
        """Do nothing."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:
        return (tp for tp in self._sources() if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: Any) -> int | None:
        # Acknowledgements are collected by compiled code and say nothing here: forget them, or they grow for ever.
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._owner.ceiling(tp.partition)

    def recovery(self) -> dict[str, Any]:
        """Tell how far the recovery of the tables has come, and what is fetched meanwhile."""
        recovery, active = self.app.tables.recovery, self._get_active_partitions()
        behind = {tp: left for tp, left in recovery.active_remaining().items() if left}
        return {
            "running": recovery.in_recovery,
            "behind": {str(tp.partition): left for tp, left in behind.items()},
            "read": {str(tp.partition): self._read_offset[tp] for tp in behind},
            "position": {str(tp.partition): self._thread.position_of(tp) for tp in behind},
            "sought": {str(tp.partition): self._thread.sought[tp] for tp in behind},
            "fetched": sorted(f"{tp.topic}/{tp.partition}" for tp in active),
            "flowing": self.flow_active,
            "waiting": self.app.tables.changelog_queue.qsize(),
        }

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """Return the loops that the consumer lives in: the app's, and that of its own thread."""
        return [self.loop, self._thread.thread_loop]

    async def leave_group(self) -> None:
        await self._thread.leave()


class CorrectedTransport(driver.Transport):
    Consumer = CorrectedConsumer
    owner: Owner


def use_corrected_consumer(app: faust.App, owner: Owner) -> None:
    """Give the app the corrected consumer; call before it starts."""
    transport = CorrectedTransport(app.conf.broker_consumer, app)
    transport.owner = owner
    app.transport = transport


async def crashed(app: faust.App) -> BaseException | None:
    """Return once the app has crashed or stopped, with the reason of the crash."""
    crash = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001
    stop = asyncio.ensure_future(app._stopped.wait())  # noqa: SLF001
    try:
        await asyncio.wait({crash, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        crash.cancel()
        stop.cancel()
    return app.crash_reason
