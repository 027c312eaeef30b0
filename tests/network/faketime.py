"""A host clock that is wrong, for one process: libfaketime under it, and a file that says by how much; it can be stepped while it runs.

Only the wall clock is wrong; the monotonic clock goes on, as it does when a real host's clock is set.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

REPO = Path(__file__).parents[2]
HOME = REPO / ".build" / "faketime"
PACKAGE = "libfaketime"  # Debian's
LIBRARY = "libfaketimeMT.so.1"  # the one for processes with threads
WAITS = Path(__file__).parent / "cnd_timedwait.c"  # what libfaketime leaves out, and librdkafka uses
FETCH_WITHIN_S = 120.0


class Missing(Exception):
    """What this machine lacks to run with a wrong clock."""


def fetch() -> Path:
    """Return the library: the installed one, or Debian's package unpacked into .build (nothing is installed). Raises Missing, in words."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME.parent / "faketime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in (Path("/usr"), HOME / "usr"):
            if found := sorted(place.glob(f"lib*/*/faketime/{LIBRARY}")):
                return found[0]
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise Missing(f"libfaketime is not installed, and there is no apt-get to fetch it: {LIBRARY} belongs under /usr/lib/*/faketime")
        with tempfile.TemporaryDirectory() as scratch:
            _run(["apt-get", "download", PACKAGE], Path(scratch))
            for package in Path(scratch).glob("*.deb"):
                _run(["dpkg", "-x", str(package), str(HOME)], Path(scratch))
        if found := sorted(HOME.glob(f"usr/lib*/*/faketime/{LIBRARY}")):
            return found[0]
    raise Missing(f"Debian's package {PACKAGE} holds no {LIBRARY}")


def compiled() -> Path:
    """Return the library of the waits that libfaketime leaves out, compiled once. Raises Missing, in words."""
    HOME.mkdir(parents=True, exist_ok=True)
    library = HOME / WAITS.with_suffix(".so").name
    with (HOME.parent / "faketime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists() or library.stat().st_mtime < WAITS.stat().st_mtime:
            if shutil.which("cc") is None:
                raise Missing(f"there is no C compiler (cc) for {WAITS.name}, and without it librdkafka's clock would be wrong twice")
            fresh = library.with_suffix(".new")
            _run(["cc", "-shared", "-fPIC", "-O1", "-o", str(fresh), str(WAITS)], HOME)
            fresh.replace(library)
    return library


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=FETCH_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise Missing(f"{command[0]} did not answer within {FETCH_WITHIN_S:.0f} s") from None
    if done.returncode:
        raise Missing(f"{' '.join(command[:2])} failed (apt-get update may help): {done.stderr.strip()[-400:]}")


class WrongClock:
    """The environment of a process, and the file through which its clock is set."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._libraries = (compiled(), fetch())
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": " ".join(map(str, self._libraries)),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # a step counts at once
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the same in older versions
        }

    def step(self, seconds: float) -> None:
        """Set the clock this far from the right time."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.replace(self._file)
