"""One process that is to be struck: started with a strike in its environment, watched, woken, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.processes import ROOT
from streams.harness.children import spawn

HOOK = Path(__file__).parent / "hook"


class Victim:
    """A slot for one process of one instance: each start replaces what ran there before. Starts and ends in one thread."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._command = command
        self._env = {**env, "PYTHONPATH": f"{HOOK}{os.pathsep}{ROOT}"}
        self._log = log
        self._begun = 0  # where the log of this life begins
        self._process: subprocess.Popen[bytes] | None = None
        log.parent.mkdir(parents=True, exist_ok=True)

    def start(self, environment: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None) -> None:
        """Start anew, with a strike's environment, and with settings of this life alone."""
        self.kill()
        with self._log.open("ab") as log:
            self._begun = log.tell()
            self._process = spawn(self._command, {**self._env, **(more or {}), **(environment or {})}, stderr=log, stdout=log, cwd=ROOT)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def stopped(self) -> bool:
        """Whether it sleeps: SIGSTOP."""
        with contextlib.suppress(OSError, AttributeError):
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()  # type: ignore[union-attr]
            return stat.rsplit(")", 1)[1].split()[0] == "T"
        return False

    @property
    def log(self) -> str:
        """What it has said in this life."""
        with self._log.open("rb") as log:
            log.seek(self._begun)
            return log.read().decode(errors="replace")

    @property
    def struck(self) -> bool:
        return self.code == -signal.SIGKILL or self.stopped

    def signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def release(self) -> subprocess.Popen[bytes]:
        """Hand the process out of its slot: a zombie that goes on beside the one that is started next."""
        assert self._process is not None
        process, self._process = self._process, None
        return process
