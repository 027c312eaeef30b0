"""Confidence in a hypothesis, term by term (heritage.md's prior; calibration comes with feedback)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx

from schemas.approvals import ConfidenceParts
from schemas.kinds import Cause

BASE = {
    Cause.MEMORY_LEAK: 0.70,
    Cause.CPU_SPIKE: 0.75,
    Cause.TRAFFIC_SPIKE: 0.80,
    Cause.LATENCY: 0.65,
    Cause.ERROR: 0.85,
    Cause.DATABASE: 0.60,
    Cause.NETWORK: 0.55,
    Cause.DEPLOYMENT: 0.80,
}
OTHER_BASE = 0.50
DIRECT_CALLEE, TRANSITIVE_CALLEE, CALLER = 0.15, 0.08, -0.05
FULL_SIGMA = 6.0


@dataclass(frozen=True, slots=True)
class Weighed:
    """What speaks for a hypothesis."""

    relevance: float  # how well the evidence fits the cause's pattern, in [0, 1]
    types: int  # different kinds of evidence: metric kinds and changes
    count: int  # pieces of evidence: series and changes
    sigma: float  # largest departure among them, in robust standard deviations, ≥ 0
    pattern: int  # 1: the whole pattern is there; -1: something speaks against it; 0: neither


def confidence(cause: Cause, weighed: Weighed, topology: float) -> ConfidenceParts:
    """Return .40 base + .35 evidence + .25 anomaly + topology ± .10 pattern, clamped to [.01, .99], each term as it counts.

    evidence = .6 relevance + min(.15, .05 types) + min(.10, .03 count); anomaly = .7 P(|N(0,1)| < sigma) + .3 min(1, sigma/6).
    Raises ValueError for a relevance outside [0, 1], a negative or non-finite sigma.
    """
    if not 0 <= weighed.relevance <= 1 or not 0 <= weighed.sigma < math.inf:
        raise ValueError(f"relevance {weighed.relevance} must be in [0, 1] and sigma {weighed.sigma} finite and not negative")
    evidence = 0.6 * weighed.relevance + min(0.15, 0.05 * weighed.types) + min(0.10, 0.03 * weighed.count)
    anomaly = 0.7 * math.erf(weighed.sigma / math.sqrt(2)) + 0.3 * min(1.0, weighed.sigma / FULL_SIGMA)
    parts = {
        "base": 0.40 * BASE.get(cause, OTHER_BASE),
        "evidence": 0.35 * evidence,
        "anomaly": 0.25 * anomaly,
        "topology": topology,
        "pattern": 0.10 * weighed.pattern,
    }
    total = min(0.99, max(0.01, math.fsum(parts.values())))
    return ConfidenceParts(**{name: round(part, 4) for name, part in parts.items()}, total=round(total, 4))


def topology_bonus(graph: nx.DiGraph, suspect: str, most_affected: str) -> float:
    """Return +.15 where the suspect is a direct callee of the most affected service, +.08 a transitive one, -.05 a caller, else 0."""
    if suspect == most_affected or suspect not in graph or most_affected not in graph:
        return 0.0
    if graph.has_edge(most_affected, suspect):
        return DIRECT_CALLEE
    if nx.has_path(graph, most_affected, suspect):
        return TRANSITIVE_CALLEE
    return CALLER if nx.has_path(graph, suspect, most_affected) else 0.0
