"""Which code the release before was: the newest of the history that is another product, and the one before the newest change of a format."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.faults.points.groups import plain_environment
from tests.faults.reliability.case import NotRun
from tests.faults.reliability.ledger import PRODUCT, REPO

NEWEST = 500  # commits that are looked at
SHAPES = Path(__file__).with_name("shapes.py")


@dataclass(frozen=True)
class Release:
    revision: str
    code: Path
    differs: str  # in words, from this one


def newest(folder: Path) -> Release:
    """Unpack the newest commit whose product is another than that of the working folder."""
    for revision in _revisions():
        same = subprocess.run(["git", "-C", str(REPO), "diff", "--quiet", revision, "--", *PRODUCT], check=False, capture_output=True)
        if same.returncode == 1:
            return Release(revision[:7], unpack(revision, folder), "the newest commit with another product")
    raise NotRun("no earlier commit of the product is in this repository: fetch its history")


def before_format(folder: Path) -> Release:
    """Unpack the newest commit whose records or states have another shape: what precedes the newest change of a format or a schema."""
    ours = shapes(REPO)
    for revision in _changed():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        differing = differences(ours, shapes(unpack(revision, folder)))
        if differing:
            return Release(revision[:7], folder, f"before the newest change of {', '.join(differing)}")
    raise NotRun("no commit of this repository has another format or schema: fetch its history")


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Name what has another shape."""
    return [name for name, shape in ours.items() if theirs.get(name) != shape]


def shapes(code: Path) -> dict[str, str]:
    """Ask a release for its shapes, in a process of its own."""
    env = {**plain_environment(), "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run([sys.executable, "-P", str(SHAPES)], env=env, cwd=code, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"{code} does not say its shapes: {told.stderr[-2000:]}")
    found: dict[str, str] = json.loads(told.stdout)
    return found


def unpack(revision: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=BytesIO(_git("archive", revision, "--", *PRODUCT))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _revisions() -> list[str]:
    return _git("rev-list", "-n", str(NEWEST), "HEAD").decode().split()


def _changed() -> Iterator[str]:
    """Yield the parents of the commits that touch a file in which a shape stands, the newest first."""
    files = ["schemas", "streams/harness/snapshots.py", "models/detection/state.py"]
    for revision in _git("rev-list", "-n", str(NEWEST), "HEAD", "--", *files).decode().split():
        yield from _git("rev-list", "--parents", "-n", "1", revision).decode().split()[1:2]


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(REPO), *words], capture_output=True, check=True).stdout
