"""One service, the cart, for the tests of detect: its series, an ordinary level of one, and times since its first second."""

from __future__ import annotations

import numpy as np

from schemas.kinds import Direction, Kind
from tests.unit.detect_feed import T0, counter, series

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MB = 1_048_576
MEMORY = series("cart", Kind.MEMORY, unit="bytes")
UP = series("cart", Kind.UP, direction=Direction.DOWN)
CACHE = series("cart", Kind.CACHE, unit="ratio", direction=Direction.DOWN)
POOL = series("cart", Kind.POOL, unit="ratio")
REQUESTS = counter("cart", Kind.REQUESTS, unit="requests", direction=Direction.NONE)
ERRORS = counter("cart", Kind.ERRORS, unit="errors")


def seconds(at: int) -> float:
    return (at - T0) / 1000


def pool(level: float, seed: int = 1) -> float:
    return level + 0.02 * np.random.default_rng(seed).normal()
