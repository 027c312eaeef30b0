"""A copy of the working tree in which safeguards are taken out and tests are run; the tree itself is never touched."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.faults.mutations.safeguard import REPO, Safeguard

TEST_WITHIN_S = 60  # a safeguard whose absence makes a test hang is noticed by the time-out
RUN_WITHIN_S = 900
COMPILED = ("models/", "streams/normalise/")  # where a change has code compiled anew
WHERE = "import schemas, streams.harness.fold, tests.faults.counting as c; print(schemas.__file__); print(c.__file__)"


@dataclass(frozen=True)
class Told:
    """What a run of tests said."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]  # a test that ran and did not hold
    errors: tuple[str, ...]  # what could not be run: an import, a fixture
    words: str = ""

    @property
    def clean(self) -> bool:
        return bool(self.passed) and not self.failed and not self.errors


class Workshop:
    """The copy. It holds what git knows of, and what it would: new files that are not ignored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
        )
        for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
            if (source := REPO / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, folder / name)
        self._env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "AIRRA_TEST_BROKER": "embedded"}
        self._compile(check=True)

    def foreign(self) -> list[str]:
        """Return the modules that would be loaded from elsewhere (an editable install): there must be none."""
        said = subprocess.run([sys.executable, "-c", WHERE], cwd=self.folder, env=self._env, capture_output=True, text=True, check=True)
        return [path for path in said.stdout.split() if not Path(path).is_relative_to(self.folder)]

    def run(self, tests: Sequence[str], *, first: bool = False) -> Told:
        """Run tests as they stand in the copy; with `first` stop at the first that fails."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", f"--timeout={TEST_WITHIN_S}"]
        command += ["--hypothesis-seed=0", *(["-x"] if first else []), *tests]
        said = subprocess.run(
            command,
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_WITHIN_S,
            stdin=subprocess.DEVNULL,
        )
        words = said.stdout[-1500:] + said.stderr[-500:]
        return _read(report, words) if report.exists() else Told((), (), ("pytest did not report",), words)

    def without(self, safeguard: Safeguard) -> Told:
        """Run the tests that must notice, with the safeguard taken out; then put it back."""
        path = self.folder / safeguard.file
        source = path.read_text(encoding="utf-8")
        gone = safeguard.taken_out(source)
        ast.parse(gone)
        path.write_text(gone, encoding="utf-8")
        try:
            if safeguard.file.startswith(COMPILED):
                self._compile(check=False)  # where that fails, the tests say so
            return self.run(safeguard.bites, first=True)
        finally:
            path.write_text(source, encoding="utf-8")

    def _compile(self, *, check: bool) -> None:
        """Compile what tests would compile at its first use: that takes longer than a test may, and a time-out would count as noticed."""
        command = [sys.executable, "-m", "cli.warm"]
        subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, check=check, timeout=RUN_WITHIN_S)


def _read(report: Path, words: str) -> Told:
    sorted_out: dict[str, list[str]] = {"passed": [], "failure": [], "error": []}
    for case in ET.parse(report).getroot().iter("testcase"):
        bad = [child.tag for child in case if child.tag in {"failure", "error"}]
        if any(child.tag == "skipped" for child in case):
            continue
        name = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"
        sorted_out["error" if "error" in bad else "failure" if bad else "passed"].append(name)
    return Told(tuple(sorted_out["passed"]), tuple(sorted_out["failure"]), tuple(sorted_out["error"]), words)
