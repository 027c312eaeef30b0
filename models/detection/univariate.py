"""The detector over one series: the tables of the stage with one row, causal, point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.detection.band_kernel import band_of
from models.detection.judge import ORDINARY, configure, rule_of, slots_for, step
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind


@dataclass(frozen=True, slots=True)
class Reading:
    """One point judged: score in [0, 1] is 0.5 at sigma; low and high are the band before the point was learned."""

    at: int
    value: float
    z: float
    score: float
    anomalous: bool
    baseline: float
    low: float
    high: float


class Univariate:
    """Judge one series; `update` takes points in the order of their times."""

    def __init__(self, config: DetectConfig, *, kind: Kind = Kind.OTHER, unit: str = "", direction: Direction = Direction.BOTH) -> None:
        self._config = config
        self._slots = slots_for(config)
        self._row = np.array([self._slots.take()], np.int64)
        self._sign = {Direction.UP: 1, Direction.DOWN: -1}.get(direction, 0)
        configure(self._slots, int(self._row[0]), config.kinds[kind], unit, direction, judged=True)

    def update(self, at: int, value: float) -> Reading:
        """Judge and learn one point: at in ms, value finite (ValueError otherwise)."""
        if not np.isfinite(value):
            raise ValueError(f"{value} is not a finite value")
        slots, row = self._slots, int(self._row[0])
        own = slots.rules.rows[slots.rule[row]]
        _, base, low, high = band_of(slots.rows[row], own, value, rule_of(self._config))
        step(slots, self._row, np.array([at], np.int64), np.array([value]), self._config)
        z = float(slots.z[row])
        bad = max(0.0, z * self._sign if self._sign else abs(z))
        return Reading(at, value, z, bad / (bad + self._config.sigma), bool(slots.state[row] != ORDINARY), base, low, high)
