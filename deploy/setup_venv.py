"""Set up `.venv` from the hash-locked requirements and install the project: the standard library only, safe beside itself.

Does nothing when the lock file, the project definition and the folder are those of the last set-up. A virtual environment holds
absolute paths: one that was copied or moved with its folder would run the original's code, and is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "airra-setup"
INPUTS = (ROOT / "requirements.lock", ROOT / "pyproject.toml")


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
        print(f"AIRRA needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make setup PYTHON=python3.11", file=sys.stderr)
        return 2
    wanted = stamp(ROOT)
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second set-up in this folder waits for the first
        if STAMP.exists() and STAMP.read_text() == wanted:
            return 0
        print("setting up .venv (two or three minutes the first time)", file=sys.stderr)
        venv.EnvBuilder(with_pip=True, clear=VENV.exists() and not made_for(ROOT, STAMP)).create(VENV)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", str(INPUTS[0])], check=True)  # noqa: S603
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], check=True)  # noqa: S603
        subprocess.run([str(VENV / "bin" / "python"), "-m", "cli.warm"], check=True, cwd=ROOT)  # noqa: S603 - or the first role would
        STAMP.write_text(wanted)
    return 0


def stamp(root: Path) -> str:
    """Return what a finished set-up of this folder leaves behind: the digest of all it came from, and the folder."""
    parts = [*(path.read_bytes() for path in INPUTS), sys.version.encode(), str(root).encode()]
    return f"{hashlib.sha256(b''.join(parts)).hexdigest()}\n{root}\n"


def made_for(root: Path, stamp_file: Path) -> bool:
    """Tell whether the last set-up was finished, and in this very folder."""
    return stamp_file.exists() and stamp_file.read_text().splitlines()[1:] == [str(root)]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        print(f"set-up failed: {' '.join(error.cmd[3:6])} … ended with {error.returncode}; see the lines above", file=sys.stderr)
        sys.exit(1)
