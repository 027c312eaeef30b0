"""Child processes that cannot outlive us, and a supervisor that restarts what exits."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

from streams.harness.children import spawn

STOP_GRACE_S = 15.0  # a role flushes, snapshots and leaves its group; what has not ended by then is killed
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # a role that keeps exiting is restarted ever more slowly
STEADY_S = 30.0  # having run this long clears the back-off
WRONG_CONFIGURATION = 2  # the exit code of a role that no restart will mend

ROOT = Path(__file__).resolve().parents[1]

log = structlog.get_logger()


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
    log_from: int = 0  # where in its log file the present process began


class Supervisor:
    """Runs one process per role; a role that exits is started again, ever more slowly while it keeps failing.

    A role that says its configuration is wrong is not: `refused` then tells which and why, and `on_refused` is called once.
    """

    def __init__(
        self,
        children: Sequence[Child],
        log_dir: Path | None,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self.children = {child.name: child for child in children}
        self.refused: str | None = None
        self._log_dir = log_dir
        self._clock = clock
        self._on_refused = on_refused
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
            if self._stopping.is_set() or self.refused is not None:
                return
            now = self._clock()
            for child in self.children.values():
                if child.process is not None and child.process.poll() is not None:
                    self._exited(child, child.process.returncode, now)
                if child.process is None and now >= child.due:
                    child.restarts += 1
                    self._start(child)
        if self.refused is not None:
            self._on_refused()

    def _exited(self, child: Child, code: int, now: float) -> None:
        lived = now - child.started
        child.failures = 0 if lived > STEADY_S else child.failures + 1
        child.due = now + BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
        log.warning("role_exited", child=child.name, code=code, lived_s=round(lived, 1))
        child.process = None
        if code == WRONG_CONFIGURATION:
            child.due = math.inf
            self.refused = self.refused or f"{child.name}: {self._last_words(child)}"

    def _last_words(self, child: Child) -> str:
        """Return what the process said at its end: the last lines of its log that are no events."""
        if self._log_dir is None:
            return f"ended with exit code {WRONG_CONFIGURATION}"
        with self._log_file(child).open("rb") as file:
            file.seek(child.log_from)
            lines = file.read().decode(errors="replace").splitlines()
        said = itertools.takewhile(lambda line: not line.startswith("{"), reversed(lines))
        return "\n".join(reversed(list(said))).strip().removeprefix("airra: ") or f"see {self._log_file(child)}"

    def _log_file(self, child: Child) -> Path:
        assert self._log_dir is not None  # noqa: S101 - asked only where logs are kept
        return self._log_dir / f"{child.name}.log"

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
            stderr = self._log_file(child).open("ab")
            child.log_from = stderr.tell()
        child.process = spawn(child.command, child.env, stderr=stderr, stdout=stderr)
        child.started = self._clock()
        if stderr is not None:
            stderr.close()

    def _watch(self) -> None:
        # Until all have stopped, not only until stopping begins: the kernel kills a child whose starting thread has ended.
        while not self._stopped.wait(0.2):
            self.step()


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours with our interpreter; -P: nothing of that name in the user's folder comes before."""
    return [sys.executable, "-P", "-m", module, *arguments]


def our_env(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return `base` (our own environment), in which Python finds the code that runs now first, and the user's folder never."""
    env = dict(os.environ if base is None else base)
    path = env.get("PYTHONPATH")
    return {**env, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


def role_command(role: str) -> list[str]:
    """Return the command that runs one role."""
    return python_module("cli.main", "worker", role)


def role_env(settings: Mapping[str, object], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a child's environment: `base` (ours), with these settings as `AIRRA_*` variables."""
    env = our_env(base)
    for name, value in settings.items():
        env[f"AIRRA_{name.upper()}"] = str(value)
    return env
