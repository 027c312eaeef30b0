"""What passes between the corrected consumer and its stage: where a partition stands, what was fetched of it, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the broker says about a partition when it is assigned."""

    committed: int | None
    beginning: int
    end: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records by partition, and how often each partition had been sought when they were handed out."""

    records: Mapping[Any, Any]
    sought: Mapping[Any, int]

    def current(self, sought: Mapping[Any, int]) -> dict[Any, Any]:
        """Return what no later seek has made a thing of the past."""
        return {tp: records for tp, records in self.records.items() if self.sought[tp] == sought[tp]}


class Owner(Protocol):
    """The stage's side of the consumer."""

    source: str

    def opened(self, partition: int, bounds: Bounds) -> int:
        """Load the partition's state and return the offset to read from. Tables are recovered. Unfit: the state cannot be read."""

    async def unfit(self, reason: str) -> NoReturn:
        """Hear that a partition cannot be opened by this release: end for good."""

    def ceiling(self, partition: int) -> int | None:
        """Return the offset that may be committed: what a durable snapshot covers."""

    def committed(self, partition: int, offset: int) -> None:
        """Hear that the broker took this offset as the group's."""

    async def hole(self, partition: int, expected: int, found: int, times: int) -> int:
        """Hear that records are missing; return the offset to read from."""
