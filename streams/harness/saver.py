"""Makes a stage's state durable in its Faust table, and keeps the table's changelog short."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust
import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.harness import metrics, snapshots
from streams.harness.fold import Part
from streams.harness.kafka import KafkaSettings, admin_client
from streams.harness.memory import Freed
from streams.harness.stage import Stage

log = structlog.get_logger()

EARLIEST_S = 1.0  # a small state is saved so often while it changes: a restart replays little
DUTY = 20.0  # of a worker's time snapshots take at most one part of so many
TRIM_AFTER_RECORDS = 500  # of the changelog, or
TRIM_AFTER_BYTES = 16 * 1024 * 1024  # a recovery reads what is left: of a state of 20 MB two snapshots, not five
TRIM_WITHIN_S = 3.0  # whoever stops, or gives up a partition, waits for it


def interval_s(cost_s: float, parts: int, every_s: float) -> float:
    """Return how long after a snapshot the next is due: of so many parts that share the worker's time each costs about as much."""
    return min(every_s, max(EARLIEST_S, DUTY * parts * cost_s))


class Saver:
    """Writes snapshots: what the state has emitted is acknowledged first, then the chunks, then the manifest."""

    def __init__(
        self,
        stage: Stage[Any],
        app: faust.App,
        table: Any,
        kafka: KafkaSettings,
        folding: asyncio.Lock,
        owned: Callable[[Part], bool],
        every_s: float,
    ) -> None:
        self._stage = stage
        self._app = app
        self._table = table
        self._kafka = kafka
        self._folding = folding  # held while a record is folded and its outputs are handed over
        self._owned = owned
        self._every_s = every_s
        self._saving = asyncio.Lock()
        self._freed = Freed()
        self._owed = False  # what a snapshot took, to the system
        self._giving: asyncio.Future[None] | None = None  # nobody waits for it
        self._admin: AdminClient | None = None
        self._cost_s: dict[int, float] = {}
        self._saved_at: dict[int, float] = {}
        self._written: dict[int, tuple[int, int]] = {}  # changelog records and bytes since the last trim
        self._last: dict[int, tuple[int, int]] = {}  # of the last snapshot: the record that it ends at, its first changelog offset
        self._below: dict[int, int] = {}  # changelog offset below which nothing is needed

    def load(self, partition: int, log_id: str) -> snapshots.Snapshot | None:
        """Return the snapshot that the recovered table holds, of this log before any other."""
        self._last.pop(partition, None)
        self._below.pop(partition, None)
        return snapshots.decode(self._table.data, partition, log_id)

    def due(self, part: Part, now_s: float, parts: int) -> bool:
        """Tell whether it is time for this one of so many parts."""
        wait = interval_s(self._cost_s.get(part.partition, 0.0), parts, self._every_s)
        return part.dirty and now_s - self._saved_at.get(part.partition, 0.0) >= wait

    def committed(self, partition: int, offset: int) -> None:
        """Hear what the broker took as the group's offset: it takes it of the owner alone.

        So whoever owns the partition later has recovered the snapshot that was written before, and writes its own behind it.
        """
        ends, first = self._last.get(partition, (offset, 0))
        if offset > ends:
            self._below[partition] = first

    async def save(self, part: Part) -> None:
        """Return once the state, as it was at the call, survives us: then `part.saved` may be committed."""
        async with self._saving:
            begun = time.perf_counter()
            async with self._folding:
                if not part.dirty or not self._owned(part):
                    return
                packing, offset = self._packing(part), part.offset
                unacked = [*part.unacked, packing]
                part.unacked = []
            cost_s = time.perf_counter() - begun
            await asyncio.gather(*unacked)
            data, packing_s = packing.result()
            owner = int(self._app.consumer_generation_id)
            snapshot = snapshots.Snapshot(offset, part.generation + 1, data, self._stage.format, part.log)
            records = snapshots.encode(part.partition, owner, snapshot)
            first = await self._write(part.partition, records)
            await self._erase(part.partition, snapshots.superseded(self._table.data, part.partition, owner))
            self._forget(part.partition)
            part.generation += 1
            part.saved = offset
            self._cost_s[part.partition] = cost_s + packing_s
            self._saved_at[part.partition] = time.monotonic()
            metrics.SNAPSHOT_BYTES.labels(self._stage.name, str(part.partition)).set(len(data))
            metrics.SNAPSHOT_COST.labels(self._stage.name).inc(cost_s + packing_s)
            metrics.SNAPSHOT_SECONDS.labels(self._stage.name).observe(time.perf_counter() - begun)
            await self._trim(part.partition, len(records), len(data))
            self._last[part.partition] = (offset, first)
            self._owed = self._stage.capture is not None  # another takes little

    def give_back(self) -> None:
        """Begin to give back what the snapshots before took, where some were: not often, and not before the last of them is let go."""
        if self._owed and self._freed.due():
            self._owed = False
            self._giving = asyncio.ensure_future(asyncio.to_thread(self._freed.give_back))

    def _packing(self, part: Part) -> asyncio.Future[tuple[bytes, float]]:
        """Return what gives the state as it is now in bytes, and the seconds that this takes beside the folding."""
        if self._stage.capture is not None:
            return asyncio.ensure_future(asyncio.to_thread(self._timed, self._stage.capture(part.state)))
        packed: asyncio.Future[tuple[bytes, float]] = asyncio.get_running_loop().create_future()
        packed.set_result((self._stage.snapshot(part.state), 0.0))
        return packed

    def _timed(self, pack: Callable[[], bytes]) -> tuple[bytes, float]:
        begun = time.perf_counter()
        data = pack()
        return data, time.perf_counter() - begun

    async def _write(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> int:
        """Return the changelog offset of the first record."""
        *chunks, manifest = records
        # `table[key] = value` would not wait: a refused write is one warning, and the source is committed all the same.
        done = [await future for future in [self._table.send_changelog(partition, key, value) for key, value in chunks]]
        done.append(await self._table.send_changelog(partition, *manifest))
        return int(done[0].offset)

    async def _erase(self, partition: int, keys: Sequence[bytes]) -> None:
        for future in [self._table.send_changelog(partition, key, None) for key in keys]:
            await future

    def _forget(self, partition: int) -> None:
        """Keep in memory no bytes of a snapshot: what is acknowledged stands in the changelog, beyond where the last recovery ended.

        The next one, of a partition that stays ours through a rebalance too, reads on from there.
        """
        for key in snapshots.of(self._table.data, partition):
            self._table.data.pop(key)

    async def _trim(self, partition: int, records: int, size: int) -> None:
        """Delete the changelog below a snapshot before this one: compaction leaves the active segment alone.

        Only below one after which a commit was taken. Whoever was stopped before it wrote, and wakes when another has the partition,
        writes an old state behind the newest; to delete below that would leave the group's offset without a state.
        """
        # Of what lies there from before this process nothing is known: who is ended again and again would never come to tidy it up.
        count, volume = self._written.get(partition, (TRIM_AFTER_RECORDS, 0))
        self._written[partition] = count, volume = count + records, volume + size
        if (count >= TRIM_AFTER_RECORDS or volume >= TRIM_AFTER_BYTES) and (below := self._below.pop(partition, None)) is not None:
            await asyncio.to_thread(self._delete_below, partition, below)
            self._written[partition] = (0, 0)

    def _delete_below(self, partition: int, offset: int) -> None:
        if self._admin is None:
            self._admin = admin_client(self._kafka)
        topic = self._table.changelog_topic.get_topic_name()
        try:
            for future in self._admin.delete_records([TopicPartition(topic, partition, offset)]).values():
                future.result(TRIM_WITHIN_S)
        except (KafkaException, TimeoutError) as error:  # a broker is away: it is only tidying, and the next time comes
            log.warning("changelog_not_trimmed", stage=self._stage.name, partition=partition, error=str(error) or "no answer")
