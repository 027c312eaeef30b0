"""Share blame out along the call graph: a caller whose anomaly its callee explains keeps little of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from models.ranking.readings import Departure, Readings, departed
from schemas.kinds import Kind

SYMPTOMS = (Kind.LATENCY, Kind.ERRORS)  # what travels from callee to caller
SLOW_TO_FAILED = 0.8  # a slow callee makes a caller's time-outs
FAILED_TO_SLOW = 0.5  # a failing callee makes a caller's retries
LOCAL_TO_ANY = 0.6  # a callee with trouble of its own (memory, pool, …) may answer nobody, so that its own latency is unknown
ABSENT_BY_HOP = 0.8  # a service that comes and goes fails callers of callers; one in between may have been read at a good moment


@dataclass(frozen=True, slots=True)
class Blame:
    """What one service keeps. `own` is the share of its symptoms that no callee explains, in [0, 1]."""

    service: str
    score: float
    own: float
    depth: int  # calls from the outermost caller, along the longest way


def share(graph: nx.DiGraph, readings: Readings, local: Mapping[str, float], absent: Mapping[str, float]) -> dict[str, Blame]:
    """Return the blame of every service with readings.

    Args: the call graph (caller → callee); the readings; `local` ≥ 0, the strength of what a callee cannot cause; `absent` in
    [0, 1], how far a service was not there to be called.
    Source: upstream traversal (PetShop's best published method), with the explained share taken from absolute departures:
    latency and errors add up along calls, standard deviations do not.
    """
    walk = nx.DiGraph(graph)
    walk.add_nodes_from(readings)
    order, depth = _outermost_first(walk)
    top = {kind: max((d.excess for d in _all(readings, kind)), default=0.0) for kind in SYMPTOMS}
    trouble = _Trouble(local, _absent_below(walk, order, depth, absent), top)
    received = dict.fromkeys(walk, 0.0)
    blame: dict[str, Blame] = {}
    for service in order:
        strengths = {kind: _weighty(found, top[kind]) for kind in SYMPTOMS if (found := departed(readings, service, kind))}
        links = {
            callee: {kind: _link(readings, service, callee, kind, trouble) for kind in strengths}
            for callee in sorted(walk.successors(service))
            if depth[callee] > depth[service]  # within a cycle of calls nobody explains anybody
        }
        symptoms = math.fsum(strengths.values())
        passed = {callee: math.fsum(strengths[kind] * link for kind, link in kinds.items()) for callee, kinds in links.items()}
        explained = 0.0
        if symptoms > 0:
            parts = (strengths[kind] * min(1.0, math.fsum(kinds[kind] for kinds in links.values())) for kind in strengths)
            explained = min(1.0, math.fsum(parts) / symptoms)
        elif received[service] > 0:  # blamed for what lies behind it
            passed = {callee: trouble.absent.get(callee, 0.0) for callee in links}
            explained = min(1.0, max(passed.values(), default=0.0))
        total = math.fsum(passed.values())
        mass = max(symptoms, received[service])
        for callee, part in passed.items():
            if total > 0:
                received[callee] += mass * explained * part / total
        kept = mass * (1 - explained) + local.get(service, 0.0)
        blame[service] = Blame(service, kept, 1 - explained if symptoms > 0 else 0.0, depth[service])
    return {service: blame[service] for service in sorted(readings)}


def symptom_strength(readings: Readings, service: str) -> float:
    """Return how much users of a service notice, before any sharing out."""
    return math.fsum(found.strength for kind in SYMPTOMS if (found := departed(readings, service, kind)))


def _outermost_first(graph: nx.DiGraph) -> tuple[list[str], dict[str, int]]:
    """Order services from callers to callees and give each its depth; services in one cycle share a depth."""
    folded = nx.condensation(graph)
    depth: dict[int, int] = {}
    for node in nx.topological_sort(folded):
        depth[node] = max((depth[caller] + 1 for caller in folded.predecessors(node)), default=0)
    of = {service: depth[node] for node in folded for service in folded.nodes[node]["members"]}
    return sorted(of, key=lambda service: (of[service], service)), of


def _absent_below(graph: nx.DiGraph, order: list[str], depth: Mapping[str, int], absent: Mapping[str, float]) -> dict[str, float]:
    """Return how far each service, or one that it needs, was not there to be called: less by every call in between."""
    found: dict[str, float] = {}
    for service in reversed(order):
        callees = (found[callee] for callee in graph.successors(service) if depth[callee] > depth[service])
        found[service] = max(absent.get(service, 0.0), ABSENT_BY_HOP * max(callees, default=0.0))
    return found


def _all(readings: Readings, kind: Kind) -> list[Departure]:
    return [found for service in readings if (found := departed(readings, service, kind))]


def _weighty(found: Departure, top: float) -> float:
    """Weigh a strength by how much of the largest departure in the incident it is: a steady series departs far by very little."""
    return found.strength * math.sqrt(found.excess / top) if top > 0 else found.strength


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What a callee may have that answers for its caller's symptoms."""

    local: Mapping[str, float]
    absent: Mapping[str, float]  # of it, or of what it needs
    top: Mapping[Kind, float]  # the largest departure in the incident


def _link(readings: Readings, caller: str, callee: str, kind: Kind, trouble: _Trouble) -> float:
    """Return how much of a caller's symptom this callee explains, in [0, 1]."""
    mine = readings[caller][kind]
    other = Kind.LATENCY if kind is Kind.ERRORS else Kind.ERRORS
    across = SLOW_TO_FAILED if kind is Kind.ERRORS else FAILED_TO_SLOW
    explains = [trouble.absent.get(callee, 0.0)]
    if trouble.local.get(callee, 0.0) > 0:
        explains.append(LOCAL_TO_ANY * min(1.0, trouble.local[callee] / mine.strength))
    if same := departed(readings, callee, kind):
        explains.append(same.excess / mine.excess if mine.excess > 0 else 1.0)
    if crossed := departed(readings, callee, other):
        explains.append(across * min(1.0, _weighty(crossed, trouble.top[other]) / mine.strength))
    return min(1.0, max(explains))
