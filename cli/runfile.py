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
    for file in sorted((data_dir / "run").glob(f"{role}-*.json")):
        try:
            content: dict[str, Any] = json.loads(file.read_text())
            os.kill(content["pid"], 0)
        except (OSError, ValueError, KeyError):
            continue  # gone, or being written
        return content
    return None
