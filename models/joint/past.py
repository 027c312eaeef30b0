"""What is kept of a service's past: how its kinds usually are, and how they vary together."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.kinds import Kind

# Load first: what it explains of the others is no harm. The order is that of the columns everywhere in this folder.
CONTEXT = (Kind.REQUESTS, Kind.CPU)
HARM = (Kind.LATENCY, Kind.ERRORS, Kind.MEMORY, Kind.POOL, Kind.CACHE, Kind.UP, Kind.RESTARTS, Kind.SATURATION)
KINDS = (*CONTEXT, *HARM)

PAST = np.dtype(
    [
        ("seen", np.float64, len(KINDS)),  # moments at which there was a reading of the kind, as many as are remembered
        ("mean", np.float64, len(KINDS)),
        ("spread", np.float64, (len(KINDS), len(KINDS))),  # the covariance; its lower half is used
    ],
    align=True,
)


def empty(count: int) -> Any:
    """Return the pasts of so many services of which nothing is known."""
    return np.zeros(count, PAST)
