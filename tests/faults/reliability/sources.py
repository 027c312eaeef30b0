"""Which files a chapter is made of: its module and all of tests/ that it names, as an import or as what a process is to run.

Their digest stands in the ledger: what a case found before it was made stricter does not prove what it asks now.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).parents[3]
NAMED = re.compile(r"\btests(?:[./]\w+)+")
BESIDE = {".c", ".xml"}  # of a folder: what is compiled or fetched for the modules in it
STRIKE_HOOK = REPO / "tests" / "faults" / "points" / "hook" / "sitecustomize.py"  # a worker loads it by its folder


@functools.cache
def digest(module: str) -> str:
    """Return a digest of everything that this module is made of, as it stands in the working folder."""
    sums = hashlib.sha256()
    for path in sorted(files(module)):
        sums.update(str(path.relative_to(REPO)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sums.hexdigest()[:16]


def files(module: str, root: Path = REPO) -> set[Path]:
    """Return the file of a module (dotted) and those that it names, and so on."""
    found: set[Path] = {STRIKE_HOOK} if STRIKE_HOOK.is_relative_to(root) else set()
    todo = [module]
    while todo:
        path = _file(todo.pop(), root)
        if path is not None and path not in found:
            found |= {path, *(other for other in path.parent.iterdir() if other.suffix in BESIDE)}
            todo += _named(path.read_text(encoding="utf-8"))
    return found


def _named(text: str) -> Iterator[str]:
    for name in NAMED.findall(text):
        yield name.replace("/", ".")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "tests":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name: str, root: Path) -> Path | None:
    """Return the file of the longest beginning of a name that is a module."""
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        path = root.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None
