"""Print what two releases must agree on: the shape of every record on a log, versions and formats. Run with that release's code first on the path.

Words for people (descriptions, titles) are no shape. What a release does not have yet is `none`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from typing import Any

RECORDS = {
    "schemas.alerts": ("AlertEvent",),
    "schemas.signals": ("SIGNALS",),
    "schemas.incidents": ("INCIDENT_EVENTS",),
    "schemas.approvals": ("APPROVAL_EVENTS",),
    "schemas.actions": ("ACTION_EVENTS",),
    "schemas.outcomes": ("Outcome", "NOTICE_EVENTS"),
}
NUMBERS = {
    "schemas.base": ("SCHEMA", "SCHEMA_MAJORS"),
    "streams.harness.snapshots": ("FORMAT",),
    "models.detection.state": ("FORMAT",),
}


def shapes() -> dict[str, str]:
    """Return a short text for each, by name."""
    found = {f"{module}.{name}": _record(module, name) for module, names in RECORDS.items() for name in names}
    return found | {f"{module}.{name}": _number(module, name) for module, names in NUMBERS.items() for name in names}


def _record(module: str, name: str) -> str:
    from pydantic import TypeAdapter

    told = _told(module, name)
    if told is None:
        return "none"
    adapter = told if isinstance(told, TypeAdapter) else TypeAdapter(told)
    return hashlib.sha256(json.dumps(_bare(adapter.json_schema()), sort_keys=True).encode()).hexdigest()[:12]


def _number(module: str, name: str) -> str:
    told = _told(module, name)
    return "none" if told is None else str(sorted(map(str, told)) if isinstance(told, frozenset | tuple) else told)


def _told(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _bare(value) for name, value in schema.items() if name not in {"description", "title"}}
    return [_bare(value) for value in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    print(json.dumps(shapes()))
