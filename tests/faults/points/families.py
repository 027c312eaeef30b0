"""The benches of the crash points, and which points each answers for."""

from __future__ import annotations

from tests.faults.points import acting_bench, api_bench, effector_bench, harness_bench, normalise_bench, sink_bench
from tests.faults.points.driving import Family

FAMILIES: tuple[Family, ...] = tuple(
    bench.FAMILY for bench in (harness_bench, effector_bench, acting_bench, api_bench, normalise_bench, sink_bench)
)
