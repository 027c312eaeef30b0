"""What folds give up at their caps, by table: for the metric of whoever runs the fold. No state: a snapshot does not hold it."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

ByTable = Annotated[dict[str, int], Field(exclude=True)]


class Evicting(Protocol):
    """A fold that counts what it drops or refuses at its caps: `evicted` all that it ever did, `by_table` since it was last asked."""

    evicted: int
    by_table: dict[str, int]


def count(state: Evicting, table: str, entries: int = 1) -> None:
    """Count entries of a table that had no room."""
    if entries > 0:
        state.evicted += entries
        state.by_table[table] = state.by_table.get(table, 0) + entries


def drained(state: Evicting) -> dict[str, int]:
    """Return what was counted since the last call, by table."""
    found = dict(state.by_table)
    state.by_table.clear()
    return found
