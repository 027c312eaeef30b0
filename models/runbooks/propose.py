"""Decide what to do about one incident record: the chosen action with its alternatives, or abstention with its reason."""

from __future__ import annotations

from models.ranking.rank import Ranking, rank
from models.runbooks.candidates import candidates, criticality_of
from models.runbooks.digests import digests_of
from schemas.approvals import Candidate, Hypothesis, Proposal, ProposalReason
from schemas.base import Position, derive_id, digest
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident
from schemas.kinds import ActionName, Criticality


def propose(incident: Incident, catalogue: RunbookCatalogue, *, source: Position, at: int) -> Proposal:
    """Return the proposal for this version of an incident; `at` in ms. Pure: the same record and catalogue give the same bytes."""
    ranking = rank(incident, catalogue)
    options = candidates(incident, ranking, catalogue)
    reason, chosen = _choose(ranking, options, catalogue)
    top = ranking.hypotheses[0] if ranking.hypotheses else None
    return Proposal(
        id=derive_id("prp", incident.incident, incident.version),
        incident=incident.incident,
        incident_version=incident.version,
        title=_title(top, chosen),
        reason=reason,
        hypotheses=ranking.hypotheses,
        candidates=options,
        chosen=chosen,
        confidence=top.confidence if top and chosen else None,
        criticality=criticality_of(incident, top.service) if top else Criticality.MEDIUM,
        severity=incident.severity,
        digests=digests_of(chosen, incident.incident) if chosen else None,
        runbooks_digest=digest(catalogue),
        at=at,
        expires_at=at + int(catalogue.proposing.expires_s * 1000),
        source=source,
    )


def abstaining(proposal: Proposal, reason: ProposalReason) -> Proposal:
    """Return a proposal of the same evidence that chooses nothing."""
    top = proposal.hypotheses[0] if proposal.hypotheses else None
    changes = {"title": _title(top, None), "reason": reason, "chosen": None, "confidence": None, "digests": None}
    return proposal.model_copy(update=changes)


def _choose(ranking: Ranking, options: tuple[Candidate, ...], catalogue: RunbookCatalogue) -> tuple[ProposalReason, Candidate | None]:
    """Among what cures the top hypothesis take the lowest risk, ties by name; abstain below the set confidence."""
    if not ranking.hypotheses:
        return ProposalReason.NO_HYPOTHESIS, None
    cures = [option for option in options if option.cures and option.spec.action is not ActionName.NONE]
    if not cures:
        return ProposalReason.NO_RUNBOOK, None
    if ranking.hypotheses[0].confidence < catalogue.min_confidence:
        return ProposalReason.LOW_CONFIDENCE, None
    return ProposalReason.CURE_FOUND, min(cures, key=lambda option: (option.risk, option.spec.action))


def _title(top: Hypothesis | None, chosen: Candidate | None) -> str:
    if top is None:
        return "no hypothesis fits the evidence"
    cause = top.cause.value.replace("_", " ")
    if chosen is None:
        return f"{cause} at {top.service}: a human must look"
    return f"{chosen.spec.action.value.replace('_', ' ')} {chosen.spec.service}: {cause}"
