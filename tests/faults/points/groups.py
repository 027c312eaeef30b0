"""Who is in a consumer group, and what to do with a member that was stopped: wait until others have its work, wake it, end it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.settings import PREFIX
from tests.faults.points.victim import Victim

ASK_S = 5.0
MOVED_WITHIN_S = 20.0
ZOMBIE_S = 2.0  # it goes on beside the one that has its work


def until(reached: Callable[[], bool], within_s: float, what: str, meanwhile: Callable[[], None] = lambda: time.sleep(0.1)) -> None:
    """Wait for a condition; raise RuntimeError when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        meanwhile()


class Groups:
    """Asks one broker."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def owners(self, group: str) -> Mapping[str, int] | None:
        """Return by instance how many partitions a member has; None while the group moves or is not there."""
        try:
            told = self._admin.describe_consumer_groups([group], request_timeout=ASK_S)[group].result(ASK_S)
        except (KafkaException, FutureTimeout):
            return None
        if told.state.name != "STABLE":
            return None
        return {
            member.group_instance_id or member.member_id: len(member.assignment.topic_partitions) if member.assignment else 0
            for member in told.members
        }

    def without(self, group: str, instance: str) -> bool:
        """Say whether others than this instance have the group's partitions."""
        owners = self.owners(group)
        return owners is not None and instance not in owners and sum(owners.values()) > 0


def bury(victim: Victim, second: Victim, plain: Mapping[str, str], moved: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    """End a scene. One that sleeps is woken when the second has its work, lives on beside it for a while, and both are killed."""
    if victim.stopped:
        zombie = victim.release()
        second.start(plain)
        until(moved, MOVED_WITHIN_S, "another has its work", meanwhile)
        zombie.send_signal(signal.SIGCONT)
        until_s = time.monotonic() + ZOMBIE_S
        while time.monotonic() < until_s:
            meanwhile()
        zombie.kill()
        zombie.wait()
        second.kill()
    victim.kill()


def plain_environment() -> dict[str, str]:
    """Return our environment without what belongs to a deployment of AIRRA, or to another strike."""
    return {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "FAULT_"))}


def python(module: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]
