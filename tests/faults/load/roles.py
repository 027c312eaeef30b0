"""What is seen of the roles of a running stack from outside: processes, memory, and how far the groups are behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli.demo.stack import Stack
from tests.faults.ledger import committed, length

NORMALISE_GROUP, DETECT_GROUP = "airra-normalise", "airra-detect"


def resident_mb(stack: Stack, role: str) -> float:
    """Return a role's resident memory in MB, by the kernel."""
    assert stack.supervisor is not None
    pid = stack.supervisor.pid(role)
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


@dataclass(frozen=True)
class Pids:
    """Which process each role was at the beginning: a role that was started again has a small memory and nothing to show."""

    begun: Mapping[str, int | None]

    @classmethod
    def of(cls, stack: Stack, roles: Iterable[str]) -> Self:
        assert stack.supervisor is not None
        return cls({role: stack.supervisor.pid(role) for role in roles})

    def failures(self, stack: Stack) -> list[str]:
        """Return which roles are another process by now."""
        supervisor = stack.supervisor
        assert supervisor is not None
        return self.changed({role: (supervisor.pid(role), supervisor.children[role].restarts) for role in self.begun})

    def changed(self, now: Mapping[str, tuple[int | None, int]]) -> list[str]:
        """Compare with processes and restarts by role."""
        return [
            f"{role} ended in the course: process {pid} became {now[role][0]}, started again {now[role][1]} times"
            for role, pid in self.begun.items()
            if pid is None or now[role] != (pid, 0)
        ]


def behind(bootstrap: str, group: str, topic: str) -> int:
    """Return how many records of a topic a group has not committed."""
    return length(bootstrap, topic) - committed(bootstrap, group, topic)
