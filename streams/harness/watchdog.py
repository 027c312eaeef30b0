"""When a stage is stuck for good: no partitions that nobody else has either, a recovery without end, lag without progress."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import structlog
from aiokafka.errors import KafkaError
from confluent_kafka.admin import AdminClient
from faust.exceptions import ConsumerNotStarted

from streams.harness import metrics
from streams.harness.app import group_of
from streams.harness.exits import EXIT_STUCK, die
from streams.harness.fold import Part
from streams.harness.kafka import KafkaSettings, admin_client, first_at
from streams.harness.readiness import Readiness
from streams.harness.stage import Stage
from streams.harness.standby import LOOK_EVERY_S, Unassigned, orphans
from streams.harness.standing import standing

OPENING_S = 90.0  # recovery of the largest state, with room
STALLED_S = 45.0  # a broker that restarts after a crash is back in 10 to 15 s


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a stage at one moment. `ends` is None while the broker does not answer."""

    at_s: float
    assigned: frozenset[int]
    following: Mapping[int, int]  # of opened partitions: the next offset to fold
    ends: Mapping[int, int] | None


@dataclass
class Watch:
    """Compares looks; pure but for what it remembers."""

    since_opening: float | None = None
    since_stalled: dict[int, tuple[int, float]] = field(default_factory=dict)

    def stuck(self, look: Look) -> str | None:
        """Return why the stage will not go on by itself; None while it may."""
        if look.assigned <= set(look.following):
            self.since_opening = None
        elif self.since_opening is None:
            self.since_opening = look.at_s
        elif look.at_s - self.since_opening >= OPENING_S:
            return f"partitions {sorted(look.assigned - set(look.following))} are assigned and not opened for {OPENING_S:.0f} s"
        return None

    def stalled(self, look: Look) -> tuple[int, int] | None:
        """Return a partition that has not moved for long while its log has more, and where it stands. Markers alone are no more."""
        stalled: dict[int, tuple[int, float]] = {}
        for partition, following in look.following.items():
            if look.ends is None or look.ends.get(partition, 0) <= following:
                continue
            before, since = self.since_stalled.get(partition, (following, look.at_s))
            stalled[partition] = (following, since if before == following else look.at_s)
        self.since_stalled = stalled
        for partition, (following, since) in stalled.items():
            if look.at_s - since >= STALLED_S:
                return partition, following
        return None


class Watched(Protocol):
    """What the watchdog needs of a stage's worker."""

    stage: Stage[Any]
    app: Any
    partitions: int
    parts: dict[int, Part]
    readiness: Readiness


async def guard(worker: Watched, kafka: KafkaSettings) -> None:
    """Look every two seconds; end the process when the stage is stuck."""
    stage, watch, unassigned = worker.stage, Watch(), Unassigned()
    admin: AdminClient | None = None  # kept once it is needed: a standby asks every time
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        look = await _look(worker)
        if reason := watch.stuck(look):
            await _leave(worker, reason)
        if stalled := watch.stalled(look):
            await _ask_the_log(worker, kafka, *stalled)
        if not unassigned.long(look.at_s, assigned=bool(look.assigned)):
            continue
        admin = admin_client(kafka) if admin is None else admin
        nobodys = await asyncio.to_thread(orphans, admin, group_of(stage.name), stage.topic, worker.partitions)
        if nobodys:
            await _leave(worker, f"partitions {sorted(nobodys)} belong to nobody and this member gets none")
        if nobodys is not None:
            worker.readiness.set(stage.name, True, "standby")


async def _ask_the_log(worker: Watched, kafka: KafkaSettings, partition: int, following: int) -> None:
    """Leave where there is a record to fold. What ends with the marker of a transaction has none, and waits for the next."""
    if await asyncio.to_thread(first_at, kafka, worker.stage.topic, partition, following) is not None:
        await _leave(worker, f"partition {partition} stands at {following} for {STALLED_S:.0f} s while the log goes on")


async def _look(worker: Watched) -> Look:
    source, name = worker.stage.topic, worker.stage.name
    assigned: frozenset[int] = frozenset()
    ends: dict[int, int] | None = None
    with contextlib.suppress(ConsumerNotStarted, KafkaError, TimeoutError):
        tps = [tp for tp in worker.app.consumer.assignment() if tp.topic == source]
        assigned = frozenset(tp.partition for tp in tps)
        async with asyncio.timeout(LOOK_EVERY_S):
            ends = {tp.partition: end for tp, end in (await worker.app.consumer.highwaters(*tps)).items()} if tps else {}
    following = {partition: part.offset + 1 for partition, part in worker.parts.items()}
    if ends is not None:
        metrics.tell_lag(name, {partition: max(0, end - following.get(partition, 0)) for partition, end in ends.items()})
    return Look(asyncio.get_running_loop().time(), assigned, following, ends)


async def _leave(worker: Watched, reason: str) -> NoReturn:
    """Leave the group, then exit: a static member that only came back would get the same assignment again."""
    consumer = worker.app.consumer
    log.critical("stuck", stage=worker.stage.name, recovery=consumer.recovery(), standing=standing(*consumer.loops()))
    await leave(worker)
    die(f"{worker.stage.name}: {reason}", EXIT_STUCK)


async def leave(worker: Watched) -> None:
    """Leave the group where the broker answers, so that its partitions go to others at once."""
    with contextlib.suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(LOOK_EVERY_S):
            await worker.app.consumer.leave_group()
