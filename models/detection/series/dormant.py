"""What was silent for so long that its past was given up: the definitions stay, and a row of any of them brings its unit back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.detection.packed import Bools, Ints
from models.detection.series.define import drop, register
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from schemas.kinds import MetricType
from schemas.samples import SeriesDef


def forget(registry: Registry, unit: int) -> None:
    """Give up what is known of a unit but for what its series mean."""
    members = [registry.defs[row] for row in registry.members(unit)]
    drop(registry, unit)
    sleep(registry, members)


def sleep(registry: Registry, members: list[SeriesDef]) -> None:
    key = key_of(members[0])
    registry.dormant[key] = members
    registry.asleep.update((found.id, key) for found in members)
    for found in members:
        registry.census.enter(found)


def wake(registry: Registry, series: int, now: int) -> None:
    """Make a forgotten unit anew, all of its series together; `now` is the active clock. A series that is not asleep: nothing."""
    if (key := registry.asleep.get(series)) is not None:
        rouse(registry, key, now)


def rouse(registry: Registry, key: int, now: int) -> None:
    """Make the forgotten unit of this key anew, if there is one."""
    if key in registry.dormant:
        for found in _release(registry, key):
            register(registry, found, now)


def trim(registry: Registry, excess: int, chosen_from: Callable[[SeriesDef], bool]) -> int:
    """Let go of what was forgotten first among these, until so many definitions are gone or none is left; return how many are."""
    chosen: list[int] = []
    gone = 0
    for key, members in registry.dormant.items():
        if gone >= excess:
            break
        if chosen_from(members[0]):
            chosen.append(key)
            gone += len(members)
    for key in chosen:
        _release(registry, key)
    return gone


def sleeping(registry: Registry, ids: NDArray[np.uint64], raw: Ints) -> Bools:
    """Tell which of the unknown ids are asleep; `raw` is the row of each id, NONE where it has none."""
    found: Bools = np.zeros(len(ids), np.bool_)
    unknown = raw == NONE
    if registry.asleep and unknown.any():
        names = [name for name in np.unique(ids[unknown]).tolist() if name in registry.asleep]
        found = np.isin(ids, np.array(names, np.uint64))
    return found


def key_of(found: SeriesDef) -> int:
    return found.group if found.type is MetricType.HISTOGRAM else found.id


def _release(registry: Registry, key: int) -> list[SeriesDef]:
    members = registry.dormant.pop(key)
    for found in members:
        del registry.asleep[found.id]
        registry.census.leave(found)
    return members
