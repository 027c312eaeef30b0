"""A child is started whole or not at all, whenever a signal comes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.harness.children import spawn

ROOT = Path(__file__).resolve().parents[2]
# The hook stands for those of the standard library (logging has one): what is raised in it is printed and dropped.
STARTING = """
import os, signal, sys
from streams.harness.children import spawn

def told(number, frame):
    raise {raised}

signal.signal(signal.{name}, told)
os.register_at_fork(after_in_parent=lambda: (os.kill(os.getpid(), signal.{name}), [None for _ in range(100)]))
try:
    spawn([sys.executable, "-c", "import time; time.sleep(60)"])
except {raised}:
    try:
        print("raised", os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("raised, no child is left")
print(signal.getsignal(signal.{name}) is told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child is not forked with hooks")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_the_fork_is_raised_after_it_and_takes_the_child_along(name: str) -> None:
    program = STARTING.format(raised="KeyboardInterrupt", name=name)
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("raised, no child is left\nTrue\n", "")


def test_handlers_are_as_before_when_nothing_comes() -> None:

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    child = spawn([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], dict(os.environ), stdout=subprocess.PIPE)
    said, _ = child.communicate(timeout=60)
    assert (said, child.returncode) == (b"True\n", 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
