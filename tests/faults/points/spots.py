"""Where a strike falls, and where it is tried next if it did not."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TRIES = 3  # a strike that does not fall is no proof, and is tried again, in another scene where there is one


@dataclass(frozen=True)
class Spot:
    """Where a strike falls: in which scene, and what the struck process is told."""

    scene: str
    environment: Mapping[str, str]

    @property
    def late(self) -> bool:
        return "FAULT_WORKED" in self.environment


def tries(spots: Sequence[Spot]) -> list[Spot]:
    """Return where to strike until one falls: where the process has worked, if it passes there again; at the last its first passing."""
    late, first = ([spot for spot in spots if spot.late is wanted] for wanted in (True, False))
    if not late:
        return list(itertools.islice(itertools.cycle(first), TRIES))
    return [*itertools.islice(itertools.cycle(late), TRIES - bool(first)), *first[:1]]


# By name and side: every scene that passes it. First those in which it is passed after some work, then those where it is passed at all.
Plan = Mapping[tuple[str, str], Sequence[Spot]]
