"""Child processes that cannot outlive us, and a supervisor that restarts what exits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

PR_SET_PDEATHSIG = 1
STOP_GRACE_S = 15.0  # a role flushes, snapshots and leaves its group; what has not ended by then is killed
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # a role that keeps exiting is restarted ever more slowly
STEADY_S = 30.0  # having run this long clears the back-off

log = structlog.get_logger()


def dying_with_parent() -> Callable[[], None] | None:
    """Ask the kernel (Linux) to kill the child when the thread that started it is gone; elsewhere our own stop must do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: little may be done after it
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    command: Sequence[str], env: Mapping[str, str], stderr: IO[bytes] | int | None = None, stdout: IO[bytes] | int | None = None
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own: a Ctrl-C reaches only us, and we stop the children in order."""
    return subprocess.Popen(  # noqa: S603 - our own commands
        list(command),
        env=dict(env),
        stdout=stdout,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=dying_with_parent(),  # noqa: PLW1509 - one system call, nothing that could take a lock
    )


def stop(process: subprocess.Popen[bytes], grace_s: float = STOP_GRACE_S) -> None:
    """End a child: SIGTERM, then SIGKILL when the grace is over."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Child:
    """One supervised role."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restarts: int = 0
    due: float = field(default=0.0)  # when it may start again


class Supervisor:
    """Runs one process per role; a role that exits is started again, ever more slowly while it keeps failing."""

    def __init__(self, children: Sequence[Child], log_dir: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.children = {child.name: child for child in children}
        self._log_dir = log_dir
        self._clock = clock
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._lock = threading.Lock()

    def start(self) -> None:
        for child in self.children.values():
            self._start(child)
        self._thread.start()

    def pid(self, name: str) -> int | None:
        process = self.children[name].process
        return process.pid if process is not None and process.poll() is None else None

    def step(self) -> None:
        """Start again what has exited and is due."""
        with self._lock:
            if self._stopping.is_set():
                return
            now = self._clock()
            for child in self.children.values():
                if child.process is not None and child.process.poll() is not None:
                    lived = now - child.started
                    child.failures = 0 if lived > STEADY_S else child.failures + 1
                    child.due = now + BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
                    log.warning("role_exited", child=child.name, code=child.process.returncode, lived_s=round(lived, 1))
                    child.process = None
                if child.process is None and now >= child.due:
                    child.restarts += 1
                    self._start(child)

    def stop(self) -> None:
        """Stop every child, all at once."""
        self._stopping.set()
        with self._lock:
            running = [child.process for child in self.children.values() if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + STOP_GRACE_S
        for process in running:
            stop(process, max(0.1, deadline - time.monotonic()))
        self._stopped.set()

    def _start(self, child: Child) -> None:
        stderr: IO[bytes] | None = None
        if self._log_dir is not None:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            stderr = (self._log_dir / f"{child.name}.log").open("ab")
        child.process = spawn(child.command, child.env, stderr=stderr, stdout=stderr)
        child.started = self._clock()
        if stderr is not None:
            stderr.close()

    def _watch(self) -> None:
        # Until all have stopped, not only until stopping begins: the kernel kills a child whose starting thread has ended.
        while not self._stopped.wait(0.2):
            self.step()


def role_command(role: str) -> list[str]:
    """Return the command that runs one role with the interpreter that runs us."""
    return [sys.executable, "-m", "cli.main", "worker", role]


def role_env(settings: Mapping[str, object], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a child's environment: `base` (ours), with these settings as `AIRRA_*` variables."""
    env = dict(os.environ if base is None else base)
    for name, value in settings.items():
        env[f"AIRRA_{name.upper()}"] = str(value)
    return env
