"""The detector over one series from its beginning: causal, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.past import READING, empty
from models.surprise.rule import rule_of
from models.surprise.score_kernel import run
from schemas.config.score import ScoreRule


def judge(at: NDArray[np.int64], value: NDArray[np.float64], config: ScoreRule) -> Any:
    """Return what is said of each point, from what came before it alone.

    Args: at (n,), ms, rising; value (n,), finite; config. Returns (n,), of READING.
    Raises ValueError where times do not rise, or a value is not finite.
    """
    if len(falls := np.flatnonzero(np.diff(at) <= 0)):
        raise ValueError(f"point {falls[0] + 2} is not later than the one before it")
    if len(odd := np.flatnonzero(~np.isfinite(value))):
        raise ValueError(f"point {odd[0] + 1} is not a finite number")
    readings = np.zeros(len(at), READING)
    run(empty(1), np.zeros(len(at), np.int64), at, value, rule_of(config), readings)
    return readings
