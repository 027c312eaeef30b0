"""Where a running role tells this machine its addresses: `<data_dir>/run/<role>-<instance>.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def path(data_dir: Path, role: str, instance: str) -> Path:
    return data_dir / "run" / f"{role}-{instance}.json"


def write(data_dir: Path, role: str, instance: str, **addresses: Any) -> None:
    target = path(data_dir, role, instance)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"pid": os.getpid(), **addresses}))
    fresh.replace(target)


def read(data_dir: Path, role: str) -> dict[str, Any] | None:
    """Return what the first running instance of the role wrote; None where none runs."""
    return next((content for content in _found(data_dir, f"{role}-*.json").values() if alive(content)), None)


def all_of(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Return what every role wrote, by `<role>-<instance>`; of those that were killed too, which took nothing back."""
    return {name: content for name, content in _found(data_dir, "*.json").items() if {"pid", "observe_port"} <= content.keys()}


def alive(content: dict[str, Any]) -> bool:
    """Tell whether the process that wrote this still runs."""
    try:
        os.kill(content["pid"], 0)
    except (OSError, KeyError):
        return False
    return True


def _found(data_dir: Path, pattern: str) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for file in sorted((data_dir / "run").glob(pattern)):
        try:
            result[file.stem] = json.loads(file.read_text())
        except (OSError, ValueError):
            continue  # gone, or being written
    return result
