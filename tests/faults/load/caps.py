"""Which bounded tables the unit and property tests fill: a cap that no test reaches is a guess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.load.tables import COUNTED, WAITED_FOR

SEEN = "FAULT_CAPS_SEEN"  # no setting of AIRRA: those are refused where they are not known


@dataclass(frozen=True)
class Ran:
    """A run of the tests: the series of counters above zero, the tests that passed, and how the run ended."""

    moved: frozenset[str]
    passed: frozenset[str]
    code: int

    def missing(self) -> list[str]:
        """Return what bounds a table that was never full, with the counter that stood or the test that did not pass."""
        stood = [f"{bound}: {series} never moved" for bound, every in COUNTED.items() for series in every if series not in self.moved]
        unseen = [f"{bound}: {test} did not pass" for bound, test in WAITED_FOR.items() if test not in self.passed]
        return sorted(stood + unseen)


def tried(folder: Path, repo: Path) -> Ran:
    """Run the unit and property tests, and look what they moved."""
    seen = folder / "seen.json"
    plugins = ["-p", "no:cacheprovider", "-p", "tests.faults.load.caps"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "tests/unit", "tests/property"]
    with (folder / "pytest.log").open("wb") as log:
        done = subprocess.run(command, cwd=repo, env={**os.environ, SEEN: str(seen)}, stdout=log, stderr=log, check=False)
    told = json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else {"moved": [], "passed": []}
    return Ran(frozenset(told["moved"]), frozenset(told["passed"]), done.returncode)


_passed: list[str] = []


def pytest_runtest_logreport(report: Any) -> None:
    """As a plugin of that run: keep which tests passed."""
    if report.when == "call" and report.passed:
        _passed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """As a plugin of that run: write the series that are above zero, each with the values of its labels."""
    from prometheus_client import REGISTRY

    if path := os.environ.get(SEEN):
        moved = {
            " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))])
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value > 0
        }
        Path(path).write_text(json.dumps({"moved": sorted(moved), "passed": _passed}), encoding="utf-8")
