"""What each part of a scenario allows and the parts together do not: names, calls, faults, numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from sandbox.budget import LIMIT
from sandbox.kinds import KINDS, SILENCE
from sandbox.names import clashes
from sandbox.plan import asked, make
from sandbox.scenario import Fault, Scenario

POOL_RATE = 1.0  # requests/s: with fewer, the pool is free between two of them, whatever each of them holds


def contradictions(scenario: Scenario) -> Iterator[str]:
    """Say what cannot be, each with its place: first the parts against each other, then, if they agree, what they amount to."""
    problems = list(_parts(scenario))
    yield from problems or _amounts(scenario)


def _parts(scenario: Scenario) -> Iterator[str]:
    names = [service.name for service in scenario.services]
    for i, service in enumerate(scenario.services):
        where = f"services[{i}]"
        if service.name in names[:i]:
            yield f"{where}.name: {service.name!r} is there twice"
        for j, call in enumerate(service.calls):
            if call.to not in names:
                yield f"{where}.calls[{j}].to: no service {call.to!r}{meant(call.to, names)}; services are {', '.join(names)}"
    yield from clashes(scenario)
    circle = _circle(scenario)
    if circle:
        yield f"services: calls go in a circle ({' → '.join(circle)}), so a request would never end"
    elif not scenario.entries():
        yield "services: none is an entry; mark one with entry: true"
    yield from _fault_contradictions(scenario, names)


def _fault_contradictions(scenario: Scenario, names: list[str]) -> Iterator[str]:
    labels = [fault.label for fault in scenario.faults]
    for i, fault in enumerate(scenario.faults):
        where = f"faults[{i}]"
        if fault.label in labels[:i]:
            yield f"{where}.name: {fault.label!r} is there twice"
        if fault.label.startswith("-"):
            yield f"{where}.name: {fault.label!r} begins with a dash, as an option of a command does"
        if fault.label == "none":
            yield f"{where}.name: 'none' stands for a run without a fault"
        if fault.expected.root_cause is not None and fault.expected.root_cause not in names:
            cause = fault.expected.root_cause
            yield f"{where}.expected.root_cause: no service {cause!r}{meant(cause, names)}; services are {', '.join(names)}"
        if fault.service and fault.service not in names:
            yield f"{where}.service: no service {fault.service!r}{meant(fault.service, names)}; services are {', '.join(names)}"
            continue
        needs = KINDS[fault.kind].needs
        guilty = scenario.guilty(fault)
        if needs and (not guilty or getattr(scenario.service(guilty), needs) is None):
            able = [service.name for service in scenario.services if getattr(service, needs) is not None]
            there = f"those are {', '.join(able)}" if able else "none has one"
            yield f"{where}.service: {fault.kind} needs a service with a {needs}; {there}"


def _amounts(scenario: Scenario) -> Iterator[str]:
    rates = asked(scenario)
    for i, fault in enumerate(scenario.faults):
        problem = _without_effect(scenario, fault, rates[scenario.guilty(fault)])
        if problem:
            yield f"faults[{i}].{problem}"
    cores = make(scenario).cores
    if cores > LIMIT:
        much = f"would use {cores:.2f} cores of CPU, and has to leave room: at most {LIMIT:g}"
        yield f"file: the system {much}; take fewer services or requests (load.rps, calls, a surge's factor), or a smaller worker_cpu"


def _without_effect(scenario: Scenario, fault: Fault, rate: float) -> str:
    """Return why a fault would not do what its kind says."""
    guilty = scenario.service(scenario.guilty(fault))
    if not rate and KINDS[fault.kind].cure != SILENCE:
        return f"service: no request reaches {guilty.name!r}, so no {fault.kind} would show; let somebody call it"
    if fault.kind == "pool_exhausted" and rate < POOL_RATE:
        return f"service: {guilty.name!r} is asked {rate:g} times a second; its pool runs dry from {POOL_RATE:g} on"
    if fault.kind == "cache_poisoned" and guilty.cache is not None and fault.param("hit_ratio") >= guilty.cache.hit_ratio:
        return f"params.hit_ratio: {fault.param('hit_ratio'):g} is no less than the {guilty.cache.hit_ratio:g} of {guilty.name}'s cache"
    return ""


def meant(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _circle(scenario: Scenario) -> list[str]:
    calls = {service.name: [call.to for call in service.calls] for service in scenario.services}
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in calls:
            return []
        for callee in calls[name]:
            found = visit(callee, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in calls if (found := visit(name, []))), [])
