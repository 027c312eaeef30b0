"""What an action risks and how pressing it is (heritage.md's numbers)."""

from __future__ import annotations

from collections.abc import Collection

import networkx as nx

from models.ranking.readings import Readings
from schemas.approvals import BlastLevel
from schemas.config.runbooks import CRITICALITY, RISK, RunbookCatalogue
from schemas.kinds import ActionName, Criticality, Kind, Severity

SHARE = {Criticality.LOW: 0.25, Criticality.MEDIUM: 0.5, Criticality.HIGH: 0.75, Criticality.CRITICAL: 1.0}
LEVELS = (
    (0.2, BlastLevel.MINIMAL),
    (0.4, BlastLevel.LOW),
    (0.6, BlastLevel.MEDIUM),
    (0.8, BlastLevel.HIGH),
)


def risk(action: ActionName, criticality: Criticality, catalogue: RunbookCatalogue) -> float:
    """Return the action's risk times the service's criticality; 0 for doing nothing."""
    if action is ActionName.NONE:
        return 0.0
    return round(catalogue.risk.get(action, RISK[action]) * catalogue.criticality.get(criticality, CRITICALITY[criticality]), 4)


def blast_radius(graph: nx.DiGraph, readings: Readings, services: Collection[str], criticality: Criticality) -> float:
    """Return .30 min(1, services/10) + .25 min(1, requests per second/100) + .25 propagation + .20 criticality, in [0, 1].

    Services are the touched ones and whoever calls them, directly or not; propagation is their share of all other services.
    """
    reached = set(services)
    for name in services:
        if name in graph:
            reached |= nx.ancestors(graph, name)
    others = max(1, len(set(graph) | set(readings)) - len(services))
    loads = [found.level for name in services if (found := readings.get(name, {}).get(Kind.REQUESTS))]
    radius = (
        0.30 * min(1.0, len(reached) / 10)
        + 0.25 * min(1.0, max(0.0, max(loads, default=0.0)) / 100)
        + 0.25 * min(1.0, (len(reached) - len(services)) / others)
        + 0.20 * SHARE[criticality]
    )
    return round(radius, 4)


def blast_level(radius: float) -> BlastLevel:
    """Grade a blast radius at .2, .4, .6 and .8."""
    return next((level for bound, level in LEVELS if radius < bound), BlastLevel.CRITICAL)


def urgency(radius: float, severity: Severity) -> float:
    """Return 1.0 to 5.0: half from how far the harm reaches, half from how grave it is."""
    return round(1 + 2 * radius + 2 * severity.rank / (len(Severity) - 1), 2)
