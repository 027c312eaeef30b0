"""How many processes, and how much memory, a number of series takes: from the newest figures, for who installs AIRRA."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.figures import Figure, newest
from schemas.config.detect import DetectConfig
from schemas.topics import SAMPLES

SERIES = (1_000, 10_000, 100_000, 1_000_000)
EVERY_S = 10  # a sample of each series
A_PARTITION = DetectConfig.model_fields["max_series"].default
UNEVEN = 2  # times its share that a partition may get: all series of a service go to one
LOAD = 0.5  # of what a process takes at most: the other half is for what waited while something was away
HEAD = ("series", "samples/s", "processes of normalise", "processes of detect", "partitions of samples", "memory for series, MB")


def rows(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    """Yield a line for each number of series; nothing where rate or memory were not measured."""
    found = {bench: {one.name: one.value for one in of} for bench, of in newest(figures).items()}
    rates, memory = found.get("throughput", {}), found.get("memory", {}).get("normalise and detect")
    if memory is None or not {"normalise", "detect"} <= rates.keys():
        return
    for series in SERIES:
        rate = series / EVERY_S
        yield (
            f"{series:,}",
            f"{rate:,.0f}",
            *(str(processes(rates, role, rate)) for role in ("normalise", "detect")),
            str(max(SAMPLES.partitions, math.ceil(series * UNEVEN / A_PARTITION))),
            f"{series * memory / 1e6:,.0f}",
        )


def processes(rates: Mapping[str, float], role: str, rate: float) -> int:
    """Return how many processes of a role keep up with so many samples a second at LOAD."""
    return math.ceil(rate / (rates[role] * LOAD))
