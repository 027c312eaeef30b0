"""Partitions that are not read on for a while: what a record of theirs needs is not there now. The others go on."""

from __future__ import annotations

import time
from collections.abc import Iterable

from streams.normalise import metrics

HOLD_S = 5.0  # before a partition is read on whose record needs a schema of a registry that is away

Source = tuple[str, int]  # a topic and a partition


class Held:
    """Until when each is held, on the monotonic clock; who reads pauses and resumes it."""

    def __init__(self) -> None:
        self._until: dict[Source, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def hold(self, source: Source) -> None:
        self._until[source] = time.monotonic() + HOLD_S
        metrics.HELD.set(len(self))

    def due(self) -> list[Source]:
        """Return what was held long enough; it is held no more."""
        now = time.monotonic()
        return self.let_go([source for source, at in self._until.items() if at <= now])

    def let_go(self, sources: Iterable[Source]) -> list[Source]:
        """Return those of them that are held; they are held no more."""
        found = [source for source in sources if source in self._until]
        for source in found:
            del self._until[source]
        if found:
            metrics.HELD.set(len(self))
        return found
