"""How many samples a second one process of each role takes, and two: each alone over the backlog, with the broker on the same cores."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.bed import Bed, bed
from bench.figures import Figure, Goal
from bench.load import Load
from bench.meter import follow, rate
from bench.throughput import WITHIN_S, folded, normalised
from cli.demo.stack import Stack

COUNTS: dict[str, Callable[[Stack], float]] = {"normalise": normalised, "detect": folded}
PROCESSES = (1, 2)
GOALS: tuple[Goal, ...] = ()


@dataclass
class Plan:
    samples: int = 8_000_000  # one process alone takes millions while the other joins
    series: int = 1000
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Measure each number of processes on a broker of its own: normalise over raw samples, then detect over what it made of them."""
    for processes in PROCESSES:
        with bed() as ours:
            plan.say(f"writing {plan.samples:,} samples of {plan.series:,} series")
            Load(ours.bootstrap, plan.series).history(plan.samples // plan.series)
            for role in COUNTS:
                yield _measured(ours, role, processes, plan)


def _measured(ours: Bed, role: str, processes: int, plan: Plan) -> Figure:
    with contextlib.ExitStack() as running:
        stacks = [running.enter_context(ours.roles(role, instance=str(number))) for number in range(processes)]

        def count() -> float:
            """Begin once each has taken something: before that they are still dividing the partitions among them."""
            taken = [COUNTS[role](stack) for stack in stacks]
            return sum(taken) if all(taken) or sum(taken) >= plan.samples else 0.0

        readings = follow(count, plan.samples, WITHIN_S)
    at = {"processes": float(processes), "series": float(plan.series), "samples": float(plan.samples)}
    return Figure("processes", f"{role}, {processes}", rate(readings, plan.samples), "samples/s", at=at)
