"""The faults that the sandbox can do to itself: their parameters, what a service must have, what cures them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

KindName = Literal[
    "memory_leak",
    "cpu_burn",
    "traffic_surge",
    "errors",
    "latency",
    "pool_exhausted",
    "cache_poisoned",
    "crash_loop",
    "deploy",
    "load_peak",
]
ActionName = Literal["scale_up", "scale_down", "restart", "rollback", "toggle_feature_flag", "clear_cache", "drain", "none"]

SCALE_CAP = 4  # what scale_up cures, it cures with at most so many times the workers of the scenario

SILENCE = "(silence)"  # nothing to cure

KIND_NAMES: tuple[str, ...] = get_args(KindName)
ACTION_NAMES: tuple[str, ...] = get_args(ActionName)


@dataclass(frozen=True, slots=True)
class Param:
    """One number that shapes a fault, with the range in which it still does what the kind says."""

    default: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FaultKind:
    what: str
    cure: str
    params: dict[str, Param] = field(default_factory=dict)
    needs: Literal["", "database", "cache"] = ""
    at_entry: bool = False  # without a `service`, the fault is the entry's


AT_LEAST = Param(4, 1.1, 20)  # where so much would still fit into the workers' capacity, it is more: see sandbox.overload

# A cure is what its kind is cured by; a new process (restart, rollback) also has no leak and, for the cache is the process's own,
# no poisoned cache. Nothing else cures by the way: more workers share one leak, and a restart keeps release, flags and users.
KINDS: dict[str, FaultKind] = {
    "memory_leak": FaultKind("resident memory grows until work slows and fails", "restart", {"mb_per_s": Param(8, 0.5, 64)}),
    "cpu_burn": FaultKind("each request costs more of the worker's duty cap, queues form", "scale_up", {"factor": AT_LEAST}),
    "traffic_surge": FaultKind("load beyond the workers' capacity", "scale_up", {"factor": AT_LEAST}, at_entry=True),
    "errors": FaultKind("a new release fails requests", "rollback", {"ratio": Param(0.4, 0.01, 1)}),
    "latency": FaultKind("a new release is slow", "rollback", {"add_ms": Param(300, 1, 10_000)}),
    "pool_exhausted": FaultKind(
        "a flag turns on a slow query, the pool runs dry", "toggle_feature_flag", {"query_ms": Param(400, 10, 10_000)}, needs="database"
    ),
    "cache_poisoned": FaultKind("every look-up misses", "clear_cache", {"hit_ratio": Param(0, 0, 1)}, needs="cache"),
    "crash_loop": FaultKind("the process dies and comes back", "none", {"every_s": Param(5, 0.5, 300)}),
    "deploy": FaultKind("a healthy release", SILENCE),
    "load_peak": FaultKind("load rising but below capacity", SILENCE, at_entry=True),
}
