"""Which counters of evictions the product has, and which of them its unit and property tests move: a cap that no test reaches is a guess."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.faults.reliability.ledger import PRODUCT

EVICTS = re.compile(r"evict|untold|forgot")
SEEN = "AIRRA_CAPS_SEEN"


def counters(repo: Path) -> set[str]:
    """Return the names of all counters in the product that count what had to make room."""
    files = [path for folder in PRODUCT for path in (repo / folder).rglob("*.py")]
    found = (name for path in files for name in _named(ast.parse(path.read_text(encoding="utf-8"))))
    return {name for name in found if EVICTS.search(name)}


def _named(tree: ast.AST) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Counter" and node.args]
    return [node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)]


def moved_by_tests(folder: Path, repo: Path) -> tuple[set[str], set[str]]:
    """Run the unit and property tests; return the counters that moved, and all."""
    seen = folder / "seen"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.faults.load.caps",
        "tests/unit",
        "tests/property",
    ]
    with (folder / "pytest.log").open("wb") as log:
        subprocess.run(command, cwd=repo, env={**os.environ, SEEN: str(seen)}, stdout=log, stderr=log, check=False)
    return set(seen.read_text(encoding="utf-8").split()) if seen.exists() else set(), counters(repo)


def pytest_sessionfinish() -> None:
    """As a plugin of that run: write the counters that are above zero."""
    from prometheus_client import REGISTRY

    if path := os.environ.get(SEEN):
        moved = {
            sample.name for family in REGISTRY.collect() for sample in family.samples if sample.value > 0 and EVICTS.search(sample.name)
        }
        Path(path).write_text("\n".join(sorted(moved)), encoding="utf-8")
