"""How far out of the ordinary a run was, moment by moment: by all kinds of a service together, and by the worst of its series."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.joint.past import HARM
from schemas.kinds import Direction, Kind
from schemas.signals import Health, SeriesEvidence

EVERY_MS = 10_000  # detect tells of every service so often; of those in trouble more often, which is left out here


@dataclass
class Moments:
    """The farthest of all services, by event time in ms."""

    together: dict[int, float] = field(default_factory=dict)
    single: dict[int, float] = field(default_factory=dict)

    def take(self, event: object) -> None:
        """Take note of any record that is health."""
        if not isinstance(event, Health) or event.at % EVERY_MS or not event.series:
            return
        if event.kind is Kind.COMBINED:
            self.together[event.at] = max(self.together.get(event.at, 0.0), *(one.value for one in event.series))
        elif event.kind in HARM:
            self.single[event.at] = max(self.single.get(event.at, 0.0), *map(_bad, event.series))

    def rows(self) -> list[tuple[int, float, float]]:
        """Return time, and both, of the moments that have both, in order."""
        return [(at, round(self.together[at], 3), round(self.single.get(at, 0.0), 3)) for at in sorted(self.together)]


def _bad(one: SeriesEvidence) -> float:
    """Return the z in the bad direction."""
    if one.direction is Direction.UP:
        return one.z
    return -one.z if one.direction is Direction.DOWN else abs(one.z)
