"""Nothing of the sandbox outlives whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
LOOK_S = 0.5
NICE = -10
AUTOGROUP = Path("/proc/self/autogroup")


def die_with_parent(parent: int) -> None:
    """Have the kernel (Linux) kill this process when its parent is gone; end at once if it already is."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def go_first() -> None:
    """Ask to be scheduled before whoever watches: anywhere else the two would not share a machine's cores."""
    with contextlib.suppress(OSError):  # it takes a right that not everybody has
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        if os.getsid(0) == os.getpid():  # Linux shares the cores out between sessions first; a session of others is left alone
            AUTOGROUP.write_text(str(NICE), encoding="ascii")


async def parent_gone(parent: int) -> None:
    """Return when the process that started this one has ended."""
    # Asked for, not signalled: the kernel's signal comes already when the *thread* that started this process ends.
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing in this process happens when it changes
        await asyncio.sleep(LOOK_S)


def on_stdin_closed(act: Callable[[], None]) -> None:
    """Call `act` when standard input is a pipe and its writer closes it; a terminal, a file or nothing is left alone."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(0, 65_536):
            loop.remove_reader(0)
            act()

    loop.add_reader(0, readable)
