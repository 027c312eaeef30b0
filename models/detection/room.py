"""Make room among too many series: what was forgotten goes first, then what has been silent, the longest first.

Series that are alive are never given up for new ones: where all are, the new ones are refused, for to give up baselines in turn
would leave none that is worth anything.
"""

from __future__ import annotations

import numpy as np

from models.detection.caps import Full
from models.detection.packed import Ints
from models.detection.series.dormant import trim
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from schemas.config.detect import DetectConfig


def make_room(registry: Registry, active: int, full: Full) -> tuple[int, list[int]]:
    """Let go of forgotten series; return how many went, and the silent units to give up. `active` is the active clock."""
    gone = trim(registry, full.excess, full.holds)
    chosen: list[int] = []
    left = full.excess - gone
    for unit in silent_units(registry, active, registry.config).tolist():
        if left <= 0:
            break
        if full.holds(registry.defs[int(registry.units.raw[unit])]):
            chosen.append(unit)
            left -= len(registry.members(unit))
    return gone, chosen


def silent_units(registry: Registry, active: int, config: DetectConfig) -> Ints:
    """Return the units that are silent, or were never heard since they were defined, the longest first."""
    units = registry.units
    quiet = active - units.heard[: units.used]
    limits = np.maximum(config.silence_s * 1000, config.silence_intervals * units.interval[: units.used])
    silent = np.flatnonzero((units.inst[: units.used] != NONE) & (quiet > limits))
    return silent[np.argsort(-quiet[silent], kind="stable")]
