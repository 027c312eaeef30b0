"""Let one role of a running stack reach the broker another way."""

from __future__ import annotations

import os
import signal
import time

from cli.demo.stack import Stack
from cli.processes import Child

STARTED_S = 20.0


def behind(stack: Stack, role: str, bootstrap: str) -> None:
    """Start the role again with another address of the broker; returns when every role is ready."""
    assert stack.supervisor is not None
    child = stack.supervisor.children[role]
    child.env = {**child.env, "AIRRA_KAFKA_BOOTSTRAP": bootstrap}
    again(child)
    stack.wait_ready(list(stack.supervisor.children))


def again(child: Child) -> None:
    """End a role's process; returns when the supervisor has started another."""
    child.failures, process = 0, child.process
    if process is not None and process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + STARTED_S
    while child.process is None or child.process is process:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{child.name} was not started again within {STARTED_S:.0f} s")
        time.sleep(0.05)
