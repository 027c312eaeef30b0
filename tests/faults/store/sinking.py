"""A sink as `airra worker sink` runs it, started, killed and asked from outside; and a folder on a file system of its own, to fill."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import httpx2

from cli import runfile
from cli.processes import ROOT, role_command, role_env
from streams.sink.store import connect
from tests.faults.reliability.case import NotRun

PR_SET_PDEATHSIG = 1
READY_WITHIN_S = 90.0


def dying_with_us() -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class SinkProcess:
    """One role; `inside` is what its command is run by (another mount namespace)."""

    def __init__(self, bootstrap: str, folder: Path, inside: Sequence[str] = (), **settings: Any) -> None:
        self.folder = folder
        self._command = [*inside, *role_command("sink")]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
        given: Mapping[str, Any] = {"kafka_bootstrap": bootstrap, "data_dir": folder, "store_port": 0, "observe_port": 0, **settings}
        self._env = role_env(given, plain)
        self.process: subprocess.Popen[bytes] | None = None
        self.exits = 0  # by itself
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> Self:
        with (self.folder / "sink.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=dying_with_us(),  # noqa: PLW1509 - one system call
            )
        return self

    def ready(self) -> tuple[bool, str]:
        """Return whether it says that it is ready, and why not."""
        found = runfile.read(self.folder, "sink")
        if found is None:
            return False, "no answer yet"
        try:
            answer = httpx2.get(f"http://127.0.0.1:{found['observe_port']}/health/ready", timeout=5.0)
        except httpx2.HTTPError as error:
            return False, str(error)
        return answer.status_code == httpx2.codes.OK, answer.text

    def wait_ready(self) -> Self:
        until(lambda: self.ready()[0] or self.ended(), READY_WITHIN_S, "the sink is ready")
        if self.ended():
            raise RuntimeError(f"the sink ended: {(self.folder / 'sink.log').read_text(errors='replace')[-600:]}")
        return self

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def revive(self) -> None:
        """Start it again if it has stopped by itself, as a supervisor would."""
        if self.ended():
            self.exits += 1
            self.start()

    def client(self) -> Any:
        """Return a client of what it serves, shaped like a store."""
        found = runfile.read(self.folder, "sink")
        assert found is not None
        return SimpleNamespace(client=connect(f"http://127.0.0.1:{found['store_port']}"))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class SmallDisk:
    """A file system of so many bytes at `folder`, in a mount namespace of its own, which an ordinary user may make too."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        if lacking := [name for name in ("unshare", "nsenter", "mount") if shutil.which(name) is None]:
            raise NotRun(f"this machine has no {', '.join(lacking)} (util-linux)")
        command = f'mount -t tmpfs -o size={size} tmpfs "{folder}" && echo mounted && exec sleep infinity'
        self._process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=dying_with_us(),  # noqa: PLW1509 - one system call
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if said != b"mounted\n":
            raise NotRun(f"this machine lets nobody mount a small file system (unshare, mount): {said.decode(errors='replace').strip()}")

    @property
    def inside(self) -> list[str]:
        """What runs a command where the file system is seen."""
        return ["nsenter", "--target", str(self._process.pid), "--user", "--mount", "--preserve-credentials", f"--wdns={ROOT}"]

    @property
    def seen(self) -> Path:
        """Return the folder as it looks from inside."""
        return Path(f"/proc/{self._process.pid}/root{self._folder}")

    def fill(self, leave: int) -> None:
        free = os.statvfs(self.seen)
        with (self.seen / "ballast").open("wb") as file, contextlib.suppress(OSError):
            file.write(b"\0" * (free.f_bavail * free.f_frsize - leave))

    def empty(self) -> None:
        (self.seen / "ballast").unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def until(reached: Callable[[], Any], within_s: float, what: str) -> float:
    """Wait until a condition holds; return how many seconds that took."""
    begun = time.monotonic()
    while not reached():
        if time.monotonic() - begun > within_s:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - begun
