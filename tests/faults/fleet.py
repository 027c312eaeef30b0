"""Worker processes of the campaign: started, killed, and started again when they stop by themselves, as a supervisor would."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

REPO = Path(__file__).parent.parent.parent
STRIKE_HOOK = REPO / "tests" / "faults" / "points" / "hook"
PR_SET_PDEATHSIG = 1


class Fleet:
    """Workers by number; their number is their instance, so that they come back as the same static member."""

    def __init__(self, bootstrap: str, folder: Path, arguments: list[str], module: str = "tests.faults.counting") -> None:
        """`module` is what a worker runs; it takes --bootstrap, --instance, --data, --stopped, and these arguments."""
        self._bootstrap = bootstrap
        self._folder = folder
        self._arguments = arguments
        self._module = module
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.exits: collections.Counter[int] = collections.Counter()  # codes of workers that stopped by themselves
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, number: int, strike: Mapping[str, str] | None = None, *more: str) -> None:
        """Start a worker; `strike` is the environment that tests/faults/points reads in it.

        With --stopped among `more` it stops itself before it joins; once `stopped` says so, `resume` lets it join at once.
        """
        env = {**os.environ, **strike, "PYTHONPATH": f"{STRIKE_HOOK}:{REPO}"} if strike else None
        libc = ctypes.CDLL(None)
        command = [sys.executable, "-m", self._module, "--bootstrap", self._bootstrap, "--instance", str(number)]
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [*command, "--data", str(self._folder / f"data-{number}"), *self._arguments, *more],
                cwd=REPO,
                env=env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one system call
            )

    def struck(self, number: int) -> bool:
        """Say whether a worker was killed, or stopped, by a strike."""
        return self._processes[number].poll() == -signal.SIGKILL or self.stopped(number)

    def ended(self, number: int) -> bool:
        return self._processes[number].poll() is not None

    def stopped(self, number: int) -> bool:
        """Say whether a worker sleeps: SIGSTOP."""
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{self._processes[number].pid}/stat").read_text()
            return stat.rsplit(")", 1)[1].split()[0] == "T"
        return False

    def code(self, number: int) -> int | None:
        return self._processes[number].poll()

    def freeze(self, number: int) -> None:
        self._processes[number].send_signal(signal.SIGSTOP)

    def said(self, number: int) -> str:
        """Return all that a worker has logged in its lives."""
        log = self._folder / f"worker-{number}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def resume(self, number: int) -> None:
        self._processes[number].send_signal(signal.SIGCONT)

    def signal_to_end(self, number: int) -> None:
        """SIGTERM, without waiting."""
        self._processes[number].terminate()

    def counted(self, event: str) -> int:
        """Return how often all workers in all their lives have logged an event."""
        return sum(log.read_text(errors="replace").count(event) for log in self._folder.glob("worker-*.log"))

    def kill(self, number: int) -> None:
        """SIGKILL; one that had ended by itself before is counted."""
        process = self._processes.pop(number)
        if (code := process.poll()) is not None:
            self.exits[code] += 1
        process.kill()
        process.wait()

    def heeds_its_end(self, number: int) -> bool:
        """Say whether a worker catches SIGTERM by now: one that still starts ends by it, and has nothing in hand."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._processes[number].pid}/status").read_text()
            (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
            return bool(caught >> (signal.SIGTERM - 1) & 1)
        return False

    def terminate(self, number: int) -> float:
        """SIGTERM; return how long it took to end. One that had ended by itself before is counted."""
        heeds = self.heeds_its_end(number)
        process = self._processes.pop(number)
        if (code := process.poll()) is not None:
            self.exits[code] += 1
            return 0.0
        begun = time.monotonic()
        process.terminate()
        code = process.wait(30)
        if code != 0 and (heeds or code != -signal.SIGTERM):
            self.exits[code] += 1
        return time.monotonic() - begun

    def revive(self) -> None:
        """Start again what has stopped by itself."""
        for number, process in list(self._processes.items()):
            if (code := process.poll()) is not None:
                self.exits[code] += 1
                self.start(number)

    def running(self) -> list[int]:
        return sorted(self._processes)

    def stop(self) -> None:
        for number in list(self._processes):
            self.terminate(number)

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()
