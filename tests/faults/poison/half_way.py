"""`airra dlq replay` killed half-way: some of its letters are in, and not all.

Run as a module it is that command with transactions of so many letters: `python -m tests.faults.poison.half_way LETTERS dlq replay …`.
Few letters are one transaction by default, and of one transaction there is no half.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer

from tests.faults.ledger import ends
from tests.faults.poison.tally import REPLAY_OF, messages
from tests.faults.reliability.ledger import REPO

TOPICS = ("metrics", "alerts")


@dataclass(frozen=True)
class Killed:
    """How the process ended, and how many letters stand on their topics, committed, that did not before."""

    code: int
    brought: int

    def missed(self, meant: int) -> list[str]:
        """Say in words what was not half-way about it."""
        failed = [] if self.code == -signal.SIGKILL else [f"the first replay ended with {self.code} before it was killed"]
        if not 0 < self.brought < meant:
            failed.append(f"the first replay had brought in {self.brought} of {meant} letters when it was killed: that is not half-way")
        return failed


def kill_half_way(bootstrap: str, command: Sequence[str], env: Mapping[str, str]) -> Killed:
    """Start a replay and kill it as soon as its first transaction is committed."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "half-way", "enable.auto.commit": False}
    with contextlib.closing(Consumer({**settings, "isolation.level": "read_committed", "log_level": 0})) as consumer:
        before = _ends(consumer)
        process = subprocess.Popen(command, cwd=REPO, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _ends(consumer) == before:
            pass
        process.kill()
        code = process.wait()
    return Killed(code, sum(_brought(bootstrap, topic, before[topic]) for topic in TOPICS))


def _ends(consumer: Consumer) -> dict[str, dict[int, int]]:
    """Return where the next committed record of each partition will stand: what is in an open transaction is not there."""
    return {topic: {partition: following for partition, (_, following) in ends(consumer, topic).items()} for topic in TOPICS}


def _brought(bootstrap: str, topic: str, begin: Mapping[int, int]) -> int:
    return sum(1 for message in messages(bootstrap, topic, begin) if REPLAY_OF in dict(message.headers() or ()))


def main() -> None:
    from cli import main as airra
    from cli.dlq import replay

    replay.CHUNK = (int(sys.argv.pop(1)), replay.CHUNK[1])
    airra.main()


if __name__ == "__main__":
    main()
