"""A member without a partition: others have it, or it belongs to nobody, and then it would stay so.

An assignment computed while a topic was missing is empty, and a static member that comes back gets the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.harness.kafka import KafkaSettings, admin_client

LOOK_EVERY_S = 2.0
UNASSIGNED_S = 20.0  # three times the session time-out: a group that rebalances has done so by then
ASK_WITHIN_S = 5.0


@dataclass
class Unassigned:
    """For how long there has been no partition."""

    since: float | None = None

    def long(self, at_s: float, *, assigned: bool) -> bool:
        """Say whether there has been none for so long that the group must be asked."""
        if assigned:
            self.since = None
            return False
        if self.since is None:
            self.since = at_s
        return at_s - self.since >= UNASSIGNED_S


def orphans(admin: AdminClient, group: str, topic: str, partitions: int) -> frozenset[int] | None:
    """Return the partitions that no member of the group has; None when the group is rebalancing or the broker does not tell."""
    try:
        described = admin.describe_consumer_groups([group], request_timeout=ASK_WITHIN_S)[group].result(ASK_WITHIN_S)
    except (KafkaException, FutureTimeout):
        return None
    if described.state.name != "STABLE":
        return None
    held = {
        tp.partition for member in described.members if member.assignment for tp in member.assignment.topic_partitions if tp.topic == topic
    }
    return frozenset(range(partitions)) - held


async def until_nobodys(kafka: KafkaSettings, group: str, topic: str, assigned: Callable[[], bool], tell: Callable[[], None]) -> None:
    """Return when a topic of one partition has long belonged to no member of the group; call `tell` each time that another has it."""
    unassigned = Unassigned()
    admin: AdminClient | None = None  # kept once it is needed: a standby asks every time
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        long = unassigned.long(asyncio.get_running_loop().time(), assigned=assigned())
        if assigned():
            continue
        admin = admin_client(kafka) if admin is None else admin
        nobodys = await asyncio.to_thread(orphans, admin, group, topic, 1)
        if nobodys and long:
            return
        if nobodys is not None and not nobodys and not assigned():
            tell()
