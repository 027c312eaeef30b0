"""In the struck process: rewrite the modules on the path as they are imported, and strike when the chosen point is reached.

FAULT_POINT = name, FAULT_SIDE = before | after, FAULT_NTH = how often it is passed first, FAULT_STRIKE = kill | stop.
FAULT_SEEN = a file: the names of all points that were passed are written there (which points does this bench reach?).
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tests.faults.points.code import AFTER, BEFORE, PATH, rewritten, source_of

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Loader(importlib.abc.Loader):
    """Loads one module from its source, rewritten."""

    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        path = source_of(self._name)
        code = compile(rewritten(self._name, path.read_text(encoding="utf-8")), str(path), "exec")
        exec(code, module.__dict__)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name not in PATH:
            return None
        return importlib.util.spec_from_file_location(name, source_of(name), loader=Loader(name))


def callbacks(env: Mapping[str, str], strike: Callable[[int], None]) -> tuple[Callable[[str], None], Callable[[str], None]]:
    """Return what is called before and after each point."""
    chosen, side, left = env.get("FAULT_POINT"), env.get("FAULT_SIDE", "before"), int(env.get("FAULT_NTH", "0"))
    seen, seen_file = set[str](), env.get("FAULT_SEEN")
    signal_number = SIGNALS[env.get("FAULT_STRIKE", "kill")]

    def passing(name: str, here: str) -> None:
        nonlocal left
        if seen_file and name not in seen:
            seen.add(name)
            with Path(seen_file).open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
        if name == chosen and side == here:
            if left == 0:
                strike(signal_number)
            left -= 1

    return (lambda name: passing(name, "before")), (lambda name: passing(name, "after"))


def install() -> None:
    before, after = callbacks(os.environ, lambda number: os.kill(os.getpid(), number))
    setattr(builtins, BEFORE, before)
    setattr(builtins, AFTER, after)
    sys.meta_path.insert(0, Finder())
