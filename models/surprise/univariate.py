"""The detector over one series from its beginning: causal, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.drift import Drift, drifts
from models.surprise.past import DRIFTED, DRIFTS, NOTHING, READING, empty
from models.surprise.rule import rule_of
from models.surprise.score_kernel import run
from schemas.config.score import ScoreRule
from schemas.samples import LARGEST


def judge(at: NDArray[np.int64], value: NDArray[np.float64], config: ScoreRule) -> Any:
    """Return what is said of each point, from what came before it alone.

    Args: at (n,), ms, rising; value (n,), finite, and beyond ±LARGEST it counts as that; config. Returns (n,), of READING.
    Raises ValueError where times do not rise, or a value is not finite.
    """
    if len(falls := np.flatnonzero(np.diff(at) <= 0)):
        raise ValueError(f"point {falls[0] + 2} is not later than the one before it")
    if len(odd := np.flatnonzero(~np.isfinite(value))):
        raise ValueError(f"point {odd[0] + 1} is not a finite number")
    value, readings = np.clip(value, -LARGEST, LARGEST), np.zeros(len(at), READING)
    run(empty(1), np.zeros(len(at), np.int64), at, value, rule_of(config), readings)
    _mark(at, readings, drifts(at, value, config))
    return readings


def _mark(at: NDArray[np.int64], readings: Any, found: list[Drift]) -> None:
    """Let drifts be alarms, told at the first point after the hour that decided; where one is open, it is about that already."""
    for one in found:
        begin = int(np.searchsorted(at, one.found))
        end = len(at) if one.over is None else int(np.searchsorted(at, one.over))
        if readings["event"][begin] != NOTHING or readings["alarmed"][begin]:
            continue
        readings["event"][begin] = DRIFTS
        readings["alarmed"][begin:end] = True
        if end < len(at) and readings["event"][end] == NOTHING:
            readings["event"][end] = DRIFTED
