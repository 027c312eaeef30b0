"""What the scrapes of a system show: a table of rates and means, what left its ordinary state, and where that is loudest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from sandbox.kinds import SCALE_CAP
from sandbox.scenario import Scenario
from sandbox.scrape import Scrape

MOVES = 1.5  # a metric that changes less has not moved
FLOORS = {"errors": 0.02, "latency": 0.02, "cpu": 0.01, "memory": 20.0, "pool": 0.1, "cache": 0.1, "up": 0.05, "requests": 1.0}
LOUD_FLOORS = {"errors": 0.01, "latency": 0.005}  # what is less than this counts as this, or the loudest would be what was next to nothing

Table = dict[tuple[str, str], float]  # (service, what) → value


def table(window: Sequence[list[Scrape]]) -> Table:
    """Return rates and means over some scrapes: errors as a share, latency in s, cpu in cores, memory in MB."""
    found: Table = {}
    for i, scrape in enumerate(window[-1]):
        name = scrape.target.service
        series = [scrapes[i] for scrapes in window]
        found[name, "up"] = sum(one.up for one in series) / len(series)
        found[name, "requests"] = _increase(series, "requests") / len(series)
        found[name, "errors"] = _increase(series, "errors") / max(1.0, _increase(series, "requests"))
        found[name, "latency"] = _increase(series, "latency", "_sum") / max(1.0, _increase(series, "latency", "_count"))
        found[name, "cpu"] = _increase(series, "cpu") / len(series)
        found[name, "memory"] = (scrape.value("memory") or 0) / 1e6
        for role in ("pool", "cache"):
            value = scrape.value(role)
            if value is not None:
                found[name, role] = value
    return found


def _increase(series: list[Scrape], role: str, suffix: str = "") -> float:
    values = [value for one in series if (value := one.value(role, suffix)) is not None]
    return sum(max(0.0, b - a) for a, b in itertools.pairwise(values))


def moved(base: Table, now: Table) -> dict[tuple[str, str], tuple[float, float]]:
    """Return what left its ordinary state in its bad direction; requests and cpu rise with any load and say nothing."""
    found = {}
    for key, value in now.items():
        what = key[1]
        before = base.get(key, 0.0)
        worse = before - value if what in {"cache", "up"} else value - before
        if what not in {"requests", "cpu"} and worse > max(FLOORS[what], (MOVES - 1) * abs(before) if what not in {"cache", "up"} else 0):
            found[key] = (before, value)
    return found


def loudest(base: Table, now: Table) -> tuple[str, str, float] | None:
    """Return the service, the symptom of its users, and by what factor it grew: failing is louder than slow, then the factor counts.

    A request that fails is lost, one that is slow is not; and a share of failures ends at 1 while a latency knows no end, so that
    their factors alone cannot be compared.
    """
    grown = [
        (key[1] == "errors", now[key] / max(base.get(key, 0.0), LOUD_FLOORS[key[1]]), key)
        for key in moved(base, now)
        if key[1] in LOUD_FLOORS
    ]
    if not grown:
        return None
    _, times, (service, what) = max(grown)
    return service, what, times


def callers_of(scenario: Scenario, name: str) -> set[str]:
    """Return who calls a service, directly or through others."""
    callers = {name}
    for _ in scenario.services:
        callers |= {service.name for service in scenario.services if any(call.to in callers for call in service.calls)}
    return callers - {name}


def workers_wanted(base: Table, sick: Table, service: str, workers: int) -> int:
    """Return what a careful operator scales up to: times the load or the CPU of a served request, at least 2, at most SCALE_CAP."""

    def cost(seen: Table) -> float:
        return seen[service, "cpu"] / max(0.1, seen[service, "requests"] * (1 - seen[service, "errors"]))

    more = sick[service, "requests"] / max(base[service, "requests"], 0.1)
    dearer = cost(sick) / max(cost(base), 1e-9)
    return workers * min(SCALE_CAP, math.ceil(max(2.0, more, dearer)))
