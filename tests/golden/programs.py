"""Programs that are not ours: found, asked for their version, started, and ended with whoever started them."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PR_SET_PDEATHSIG = 1
ENDS_WITHIN_S = 20.0
WITHIN_S = 60.0
VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Programs:
    """Programs by name: as they were told, or on the PATH."""

    told: Mapping[str, Path]

    @classmethod
    def named(cls, texts: Sequence[str]) -> Self:
        """Return those of a command line's NAME=FILE."""
        return cls({name: Path(file) for name, _, file in (one.partition("=") for one in texts)})

    def find(self, name: str) -> Path:
        found = self.told.get(name) or shutil.which(name)
        if found is None:
            raise SystemExit(f"{name} is not on the PATH: install it, or say --program {name}=FILE")
        return Path(found)

    def version(self, name: str, *asking: str) -> str:
        """Return the first line in which a program tells a version."""
        done = subprocess.run([self.find(name), *asking], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        return next((line.strip() for line in lines if VERSION.search(line)), "unknown")


@contextmanager
def running(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends: it is asked to end (SIGTERM), so what it holds it sends."""
    libc = ctypes.CDLL(None)
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one system call
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(reached: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Wait for a condition; raise TimeoutError that names it."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s} s")
        time.sleep(0.05)
