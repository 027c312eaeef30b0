"""One more derived series of each service: how far all its kinds together are from what they usually are (models/joint).

It is made at the moments of health, of services with more than one kind, and judged as any other: band, M of N, hysteresis. A joint
small move that no single series shows opens one anomaly; five series that always rise together are no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.detection.judge import ORDINARY, SHIFTED, step
from models.detection.report import Directory, in_trouble
from models.detection.series.registry import Meta, Registry, derived, give_slot, set_slot
from models.joint.kernel import distances, learn
from models.joint.readings import readings
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind

METRIC = "combined"
HELD_HEALTHS = 2  # while it is open no harm of the service is learned, until so many moments later
STALE_HEALTHS = 2  # a series without a point for so many moments says nothing of now


@dataclass
class Moment:
    """Slots whose anomaly opened or closed at a moment of health."""

    opened: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)


def give_up(registry: Registry, service: str) -> None:
    row = registry.past_of.pop(service)
    give_slot(registry, int(registry.pasts.slot[row]))
    registry.pasts.give(row)
    registry.changed()


def combine(registry: Registry, directory: Directory, at: int, *, everyone: bool) -> Moment:
    """Make a point of each service that is told at this moment, and judge it. What is ordinary is learned, at the moments of all."""
    for service in directory.of(registry).new:
        _enrol(registry, service)
    if not registry.past_of:
        return Moment()
    told = sorted(registry.past_of if everyone else registry.past_of.keys() & in_trouble(registry, at))
    if not told:
        return Moment()
    known = directory.of(registry)
    config, slots, pasts = registry.config, registry.slots, registry.pasts
    since = at - STALE_HEALTHS * round(config.health_s * 1000)
    x = readings(
        slots.rows, known.members, known.starts, known.service, known.column, len(known.services), config.min_history, since
    )[np.searchsorted(known.services, told)]  # fmt: skip
    rows = np.array([registry.past_of[service] for service in told], np.int64)
    found = distances(pasts.rows, rows, x)
    heard = np.isfinite(found)
    own = pasts.slot[rows].astype(np.int64)
    opened, closed = step(slots, own[heard], np.full(int(heard.sum()), at, np.int64), found[heard], config)
    if everyone:
        calm = (slots.state[own] == ORDINARY) & (slots.hits[own] & 1 == 0)
        learn(pasts.rows, rows[calm], x[calm])
    lately = at - slots.opened[own] < config.combined_release_s * 1000
    for place in np.flatnonzero((slots.state[own] == SHIFTED) & lately).tolist():
        slots.held[known.slots_of(told[place])] = at + held_ms(config)
    return Moment(opened.tolist(), closed.tolist())


def held_ms(config: DetectConfig) -> int:
    """Return how long the harm of a service that is out of the ordinary as a whole is not learned, from one moment."""
    return HELD_HEALTHS * round(config.health_s * 1000)


def _enrol(registry: Registry, service: str) -> None:
    row, slot = registry.pasts.take(), registry.slots.take()
    registry.past_of[service], registry.pasts.slot[row] = row, slot
    meta = Meta(derived(service, METRIC), service, "", METRIC, Kind.COMBINED, "", Direction.UP)
    set_slot(registry, slot, meta, "", judged=True)
    registry.changed()
