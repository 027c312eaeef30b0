"""The supervisor restarts what exits, ever more slowly, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.processes import BACKOFF_S, Child, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
EXIT = [sys.executable, "-c", "raise SystemExit(3)"]


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_stop_ends_all(tmp_path: Path) -> None:
    supervisor = Supervisor([Child("role", SLEEP, dict(os.environ))], tmp_path)
    supervisor.start()
    try:
        first = supervisor.pid("role")
        assert first is not None
        os.kill(first, 9)
        until(lambda: supervisor.pid("role") not in (None, first))
    finally:
        second = supervisor.pid("role")
        supervisor.stop()
    assert second is not None
    assert not alive(second)
    assert supervisor.children["role"].restarts == 1


def test_a_child_that_keeps_failing_is_started_ever_more_slowly() -> None:
    now = [0.0]
    child = Child("role", EXIT, dict(os.environ))
    supervisor = Supervisor([child], None, clock=lambda: now[0])
    supervisor._start(child)
    waits = []
    for _ in BACKOFF_S:
        assert child.process is not None
        child.process.wait()
        supervisor.step()
        waits.append(child.due - now[0])
        now[0] = child.due
        supervisor.step()
    assert waits == [*BACKOFF_S[1:], BACKOFF_S[-1]]
    assert child.process is not None
    child.process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from cli.processes import Child, Supervisor
s = Supervisor([Child("role", {SLEEP!r}, dict(os.environ))], None)
s.start()
print(s.pid("role"), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    until(gone)
