"""In the struck process: rewrite the modules on the path as they are imported, and strike when the chosen point is reached.

FAULT_POINT = name, FAULT_SIDE = before | after, FAULT_NTH = how often it is passed first, FAULT_STRIKE = kill | stop.
FAULT_FROM = another point: passings count only once that one has been reached.
FAULT_WORKED = `side name` of another point: passings count only once the process has done some work, as passing that one shows. What a
process passes as it starts it passes with empty hands.
FAULT_SEEN = a file: `side name` of all that was passed is written there (which points does this bench reach?), and `later side name` of
what was passed once the process had worked.
FAULT_SET = JSON {"module:CONSTANT": value}: constants of this process alone, such as a short session time-out.
FAULT_PRODUCER = JSON {setting: value}: settings of every librdkafka producer of this process.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.faults.points.code import AFTER, BEFORE, OUTSIDE, PATH, rewritten, source_of

LATER = "later "
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Loader(importlib.abc.Loader):
    """Loads one module from its source, rewritten where it is on the path, and sets its constants."""

    def __init__(self, name: str, constants: Mapping[str, Any]) -> None:
        self._name = name
        self._constants = constants

    def exec_module(self, module: ModuleType) -> None:
        path = source_of(self._name)
        source = path.read_text(encoding="utf-8")
        tree = rewritten(self._name, source) if self._name in PATH or self._name in OUTSIDE else source
        exec(compile(tree, str(path), "exec", dont_inherit=True), module.__dict__)
        for constant, value in self._constants.items():
            before = getattr(module, constant)  # a name that is gone is an error, not a bench that silently waits longer
            setattr(module, constant, {**before, **value} if isinstance(before, dict) else value)


class Finder(importlib.abc.MetaPathFinder):
    def __init__(self, constants: Mapping[str, Mapping[str, Any]]) -> None:
        self._constants = constants

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name not in PATH and name not in OUTSIDE and name not in self._constants:
            return None
        return importlib.util.spec_from_file_location(name, source_of(name), loader=Loader(name, self._constants.get(name, {})))


def callbacks(env: Mapping[str, str], strike: Callable[[int], None]) -> tuple[Callable[[str], None], Callable[[str], None]]:
    """Return what is called before and after each point."""
    chosen, side, left = env.get("FAULT_POINT"), env.get("FAULT_SIDE", "before"), int(env.get("FAULT_NTH", "0"))
    first, work = env.get("FAULT_FROM"), env.get("FAULT_WORKED")
    worked = work is None
    seen, seen_file = set[str](), env.get("FAULT_SEEN")
    signal_number = SIGNALS[env.get("FAULT_STRIKE", "kill")]

    def passing(name: str, here: str) -> None:
        nonlocal left, first, worked
        passed = f"{here} {name}"
        if name == first:
            first = None
        worked = worked or passed == work
        if seen_file and (lines := {passed, f"{LATER}{passed}"} if work and worked else {passed}) - seen:
            with Path(seen_file).open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in sorted(lines - seen))
            seen.update(lines)
        if name == chosen and side == here and first is None and worked:
            left -= 1
            if left == -1:
                strike(signal_number)

    return (lambda name: passing(name, "before")), (lambda name: passing(name, "after"))


def constants(text: str) -> dict[str, dict[str, Any]]:
    """Return by module what FAULT_SET sets."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in json.loads(text or "{}").items():
        module, _, constant = name.partition(":")
        found.setdefault(module, {})[constant] = value
    return found


def _set_producers(settings: dict[str, Any]) -> None:
    import confluent_kafka

    class Set(confluent_kafka.Producer):  # type: ignore[misc]
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__({**config, **settings})

    confluent_kafka.Producer = Set


def install() -> None:
    before, after = callbacks(os.environ, lambda number: os.kill(os.getpid(), number))
    setattr(builtins, BEFORE, before)
    setattr(builtins, AFTER, after)
    if settings := os.environ.get("FAULT_PRODUCER"):
        _set_producers(json.loads(settings))
    sys.meta_path.insert(0, Finder(constants(os.environ.get("FAULT_SET", ""))))
