"""What is kept of a target's words: the few facts that AIRRA reads, of their type and bounded, so that a record of them can be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_CHARS = 200  # of a release's or a flag's name
MAX_FLAGS = 100  # with names of that length some 80 kB: far below a record's limit, twice over
MAX_WORKERS = 1_000_000


def facts_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return workers, release, previous_release and flags where they are what they should be; what is not stays away."""
    facts: dict[str, Any] = {}
    workers = told.get("workers")
    if type(workers) is int and 0 <= workers <= MAX_WORKERS:  # a boolean is an int to isinstance
        facts["workers"] = workers
    for name in ("release", "previous_release"):
        if isinstance(value := told.get(name), str):
            facts[name] = plain(value, TEXT_CHARS)
    if isinstance(flags := told.get("flags"), dict):
        switches = [(plain(name, TEXT_CHARS), on) for name, on in flags.items() if isinstance(on, bool)]
        facts["flags"] = dict(switches[:MAX_FLAGS])
    return facts


def plain(text: str, chars: int) -> str:
    """Return text that can be encoded: JSON may hold half a surrogate pair. What is cut says so, and equals nothing shorter."""
    readable = text.encode(errors="replace").decode()
    return readable if len(readable) <= chars else readable[: chars - 1] + "…"
