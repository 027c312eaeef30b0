"""How a proposal becomes a row: the best explanation and the chosen action flat, all of them as arrays."""

from __future__ import annotations

from typing import Any

from schemas.approvals import Candidate, Hypothesis, Proposal
from schemas.base import canonical
from schemas.kinds import ActionName


def proposal_row(event: Proposal) -> dict[str, Any]:
    best = min(event.hypotheses, key=lambda each: each.rank, default=None)
    digests = event.digests
    return {
        "id": event.id,
        "incident": event.incident,
        "incident_version": event.incident_version,
        "title": event.title,
        "reason": event.reason,
        "root_cause": best.service if best else "",
        "cause": best.cause if best else "",
        "confidence": event.confidence,
        **_chosen(event.chosen),
        "criticality": event.criticality,
        "digest_dry_run": digests.dry_run if digests else None,
        "digest_live": digests.live if digests else None,
        "runbooks_digest": event.runbooks_digest,
        "hypotheses": [_hypothesis(each) for each in event.hypotheses],
        "candidates": [_candidate(each) for each in event.candidates],
        "at": event.at,
        "expires_at": event.expires_at,
    }


def _chosen(chosen: Candidate | None) -> dict[str, Any]:
    """Flatten the chosen action; where AIRRA abstains the action is to do nothing and its figures are unknown."""
    if chosen is None:
        figures = dict.fromkeys(("risk", "blast_radius", "urgency", "reversible"))
        return {**figures, "action_name": ActionName.NONE.value, "service": "", "params": "{}", "blast_level": "", "expected_effect": ""}
    flat = _candidate(chosen)
    names = ("service", "params", "risk", "blast_radius", "blast_level", "urgency", "reversible", "expected_effect")
    return {"action_name": flat["action"], **{name: flat[name] for name in names}}


def _hypothesis(each: Hypothesis) -> dict[str, Any]:
    parts = {f"part_{name}": getattr(each.parts, name) for name in ("base", "evidence", "anomaly", "topology", "pattern")}
    flat = {name: getattr(each, name) for name in ("rank", "service", "cause", "score", "confidence", "runbook")}
    return {**flat, **parts, "reasons": list(each.reasons), "series": list(each.series), "changes": list(each.changes)}


def _candidate(each: Candidate) -> dict[str, Any]:
    names = ("hypothesis", "cures", "risk", "blast_radius", "blast_level", "urgency", "reversible", "expected_effect")
    return {
        "action": each.spec.action.value,
        "service": each.spec.service,
        "params": canonical(each.spec.params).decode(),
        **{name: getattr(each, name) for name in names},
        "undo": None if each.undo is None else canonical(each.undo).decode(),
    }
