"""Rank hypotheses: which service, guilty of what, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from models.confidence import Weighed, confidence, topology_bonus
from models.correlation.graph import call_graph
from models.ranking.causes import SPECIFICITY, Pattern, patterns
from models.ranking.local import Local, local
from models.ranking.readings import Readings, departed, read
from models.ranking.share import Blame, share, symptom_strength
from schemas.approvals import Hypothesis
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident

MAX_HYPOTHESES = 6
STRONG = 0.6  # relevance from which the whole pattern counts as seen
CLOSE_CALL = 0.9  # another service's best score this near to one's own speaks against it
FLOOR = 0.2  # what blame alone is worth without any pattern


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hypotheses, best first, with what they were ranked on."""

    hypotheses: tuple[Hypothesis, ...]
    readings: Readings
    locals: dict[str, Local]
    graph: nx.DiGraph


def rank(incident: Incident, catalogue: RunbookCatalogue) -> Ranking:
    """Rank (service, cause) pairs over one incident record; deterministic, ties to the deeper service, then by name."""
    readings = read(incident)
    graph = call_graph([node.name for node in incident.nodes], incident.calls)
    locals_ = {service: local(incident, readings, service) for service in readings}
    blame = share(
        graph,
        readings,
        {service: _local_strength(readings, service, found) for service, found in locals_.items()},
        {service: found.gone for service, found in locals_.items()},
    )
    most = max((each.score for each in blame.values()), default=0.0)
    scored: list[tuple[float, Blame, Pattern]] = []
    if most > 0:
        for each in blame.values():
            for pattern in patterns(incident, readings, each, locals_[each.service]):
                fits = FLOOR + (1 - FLOOR) * pattern.relevance * SPECIFICITY[pattern.cause]
                scored.append((round(each.score / most * fits, 6), each, pattern))
    scored.sort(key=lambda item: (-item[0], -item[1].depth, item[1].service, item[2].cause))
    runbooks = {runbook.cause: runbook.name for runbook in catalogue.runbooks}
    affected = max(sorted(readings), key=lambda service: symptom_strength(readings, service), default="")
    hypotheses = []
    for place, (score, _, pattern) in enumerate(scored[:MAX_HYPOTHESES], start=1):
        series = _series(readings, pattern)
        rival = max((other for other, _, against in scored if against.service != pattern.service), default=0.0)
        weighed = Weighed(
            relevance=pattern.relevance,
            types=len([kind for kind in pattern.kinds if departed(readings, pattern.service, kind)]) + (1 if pattern.changes else 0),
            count=len(series) + len(pattern.changes),
            sigma=max((found.z for kind in pattern.kinds if (found := departed(readings, pattern.service, kind))), default=0.0),
            pattern=-1 if rival >= CLOSE_CALL * score else 1 if pattern.relevance >= STRONG else 0,
        )
        parts = confidence(pattern.cause, weighed, topology_bonus(graph, pattern.service, affected))
        hypotheses.append(
            Hypothesis(
                rank=place,
                service=pattern.service,
                cause=pattern.cause,
                score=score,
                confidence=parts.total,
                parts=parts,
                runbook=runbooks.get(pattern.cause),
                reasons=pattern.reasons,
                series=series,
                changes=tuple(change.id for change in pattern.changes),
            )
        )
    return Ranking(tuple(hypotheses), readings, locals_, graph)


def _series(readings: Readings, pattern: Pattern) -> tuple[str, ...]:
    """List the series behind a pattern; of a kind that did not depart (CPU a request, load) its readings all the same."""
    found = readings.get(pattern.service, {})
    return tuple(sorted({series for kind in pattern.kinds if kind in found for series in found[kind].series}))


def _local_strength(readings: Readings, service: str, found: Local) -> float:
    """Turn graded local evidence into strength on the scale of symptoms: ln(1 + z) of its kind times its grade."""
    worth = 0.0
    graded = {"memory": found.memory, "pool": found.pool, "cache": found.cache, "saturation": found.saturation, "restarts": found.restarts}
    for kind, departure in readings[service].items():
        if departure.strength > 0:
            worth = max(worth, departure.strength * graded.get(kind.value, 0.0))
    loudest = max((departure.strength for departure in readings[service].values()), default=0.0)
    return max(worth, loudest * found.absent, _dear(readings, service, found))


def _dear(readings: Readings, service: str, found: Local) -> float:
    """CPU a request is worth something only where users notice."""
    return found.cpu_per_request * symptom_strength(readings, service)
