"""Start child processes: they cannot outlive us, and a Ctrl-C while one starts is not lost."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

PR_SET_PDEATHSIG = 1

Handler = Callable[[int, FrameType | None], Any]


def spawn(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    stderr: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own: a Ctrl-C reaches only us, and we stop the children in order."""
    with contextlib.ExitStack() as undone:
        with _signals_held():
            child = subprocess.Popen(  # noqa: S603 - our own commands
                list(command),
                env=None if env is None else dict(env),
                cwd=cwd,
                stdout=stdout,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_dying_with_parent(),  # noqa: PLW1509 - one system call, nothing that could take a lock
            )
            undone.callback(_end, child)  # where a handler raises, whoever asked for the child never gets it
        undone.pop_all()
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _dying_with_parent() -> Callable[[], None] | None:
    """Ask the kernel (Linux) to kill the child when the thread that started it is gone; elsewhere our own stop must do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: little may be done after it
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait for the end of a fork: Python runs hooks after it, and drops what a handler raises in them."""
    came: list[tuple[Handler, int, FrameType | None]] = []
    held: dict[signal.Signals, Handler] = {}
    try:
        if threading.current_thread() is threading.main_thread():  # no other runs handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    held[number] = handler
                    signal.signal(number, lambda sent, frame: came.append((held[signal.Signals(sent)], sent, frame)))
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for handler, sent, frame in came:
            handler(sent, frame)
