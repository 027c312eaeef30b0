"""The buckets of a histogram: their order by bound, and which of them it keeps where it has more than it may."""

from __future__ import annotations

import numpy as np

from models.detection.series.registry import Registry
from models.detection.series.tables import BUCKET, NONE
from schemas.samples import SeriesDef

LEAST_BOUNDS = 3  # that one between may go


def in_the_way(registry: Registry, found: SeriesDef) -> int:
    """Return the bucket whose place this one takes, for it lies beyond all that its full histogram has; NONE: none, or it finds no place.

    Without the highest bounds a quantile ends at the highest that is known, however high it is; with fewer between it is only less exact.
    So the one goes whose neighbours are nearest to each other, as a share of their size.
    """
    unit = registry.groups.get(found.group, NONE) if found.part == "bucket" and found.id not in registry.index else NONE
    if unit == NONE or found.le is None or np.isinf(found.le) or has_room(registry, hist := int(registry.units.hist[unit]), found.le):
        return NONE
    bounds = registry.hists.bounds[hist, : registry.hists.buckets[hist]]
    finite = bounds[np.isfinite(bounds)]
    if len(finite) < LEAST_BOUNDS or finite[0] <= found.le <= finite[-1]:
        return NONE
    gaps = (finite[2:] - finite[:-2]) / np.maximum(np.abs(finite[2:]), np.abs(finite[:-2]))
    rows = np.array(registry.buckets[unit])
    buckets = rows[registry.raws.type[rows] == BUCKET]
    return int(buckets[registry.raws.bucket[buckets] == 1 + np.argmin(gaps)][0])


def leave_out(registry: Registry, row: int) -> None:
    """Forget one bucket of a histogram; what was gathered so far is given up."""
    hists, raws, unit = registry.hists, registry.raws, int(registry.raws.unit[row])
    hist, place = int(registry.units.hist[unit]), int(raws.bucket[row])
    count = int(hists.buckets[hist])
    hists.bounds[hist, place : count - 1] = hists.bounds[hist, place + 1 : count].copy()
    hists.bounds[hist, count - 1] = np.inf
    hists.counts[hist] = hists.tail[hist] = 0
    hists.buckets[hist] = count - 1
    registry.buckets[unit].remove(row)
    for other in registry.buckets[unit]:
        if raws.type[other] == BUCKET and raws.bucket[other] > place:
            raws.bucket[other] -= 1
    if registry.units.raw[unit] == row:
        registry.units.raw[unit] = registry.buckets[unit][0]
    forget(registry, row)
    registry.changed()


def forget(registry: Registry, row: int) -> SeriesDef:
    """Forget a raw series; return what it was."""
    found = registry.defs.pop(row)
    registry.census.leave(found)
    del registry.index[found.id]
    registry.raws.give(row)
    return found


def has_room(registry: Registry, hist: int, le: float | None) -> bool:
    """Tell whether a bucket fits: the last place is kept for +Inf, without which no quantile is right."""
    count = int(registry.hists.buckets[hist])
    closed = count > 0 and bool(np.isinf(registry.hists.bounds[hist, count - 1]))
    return count < registry.config.max_buckets - (0 if closed or le is None or np.isinf(le) else 1)


def insert(registry: Registry, hist: int, row: int, unit: int, bound: float) -> None:
    """Put a bucket in the order of the bounds; what was gathered so far is given up, for it lacks this bucket."""
    hists, raws = registry.hists, registry.raws
    count = int(hists.buckets[hist])
    place = int(np.searchsorted(hists.bounds[hist, :count], bound))
    hists.bounds[hist, place + 1 : count + 1] = hists.bounds[hist, place:count].copy()
    hists.bounds[hist, place] = bound
    hists.counts[hist] = hists.tail[hist] = 0
    for other in registry.buckets[unit]:
        if other != row and raws.type[other] == BUCKET and raws.bucket[other] >= place:
            raws.bucket[other] += 1
    raws.bucket[row] = place
    hists.buckets[hist] = count + 1
