"""Ask the read model: its answers are the replies of the API and what the pages show."""

from __future__ import annotations

from itertools import islice

from api.errors import Refusal, not_found
from api.read_model import Doing, ReadModel, action_id
from models.approvals import pending
from schemas.actions import FinishStatus, Grant
from schemas.approvals import DecisionOutcome, Proposal
from schemas.http import (
    ActionStatus,
    ActionView,
    IncidentDetail,
    IncidentPage,
    IncidentStatus,
    IncidentSummary,
    PendingPage,
    ProposalStatus,
    ProposalView,
)
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Mode

_ENDED = {
    FinishStatus.SUCCEEDED: ActionStatus.SUCCEEDED,
    FinishStatus.FAILED: ActionStatus.FAILED,
    FinishStatus.UNKNOWN: ActionStatus.UNKNOWN,
}


def resolve(model: ReadModel, identifier: str) -> tuple[Proposal, Mode | None] | None:
    """Find a proposal by its own id, or by the id of the action that it would become (then with that action's mode)."""
    if proposal := model.proposals.get(identifier):
        return proposal, None
    if promised := model.promised.get(identifier):
        found = model.proposals.get(promised[0])
        return (found, promised[1]) if found else None
    if doing := model.doings.get(identifier):
        found = model.proposals.get(doing.word.proposal)
        return (found, doing.word.mode) if found else None
    return None


def digest_of(proposal: Proposal, mode: Mode) -> str | None:
    if proposal.digests is None:
        return None
    return proposal.digests.live if mode is Mode.LIVE else proposal.digests.dry_run


def proposal_status(model: ReadModel, proposal: Proposal) -> ProposalStatus:
    if decision := model.decisions.get(proposal.id):
        return ProposalStatus(decision.outcome.value)
    return ProposalStatus.ABSTAINED if proposal.chosen is None or proposal.digests is None else ProposalStatus.PENDING


def proposal_view(model: ReadModel, proposal: Proposal) -> ProposalView:
    views = [action_view(model, doing) for doing in model.doings_of(proposal.id)]
    promised = promised_action(model, proposal)
    if promised is not None and all(view.id != promised.id for view in views):
        views.insert(0, promised)
    return ProposalView(
        status=proposal_status(model, proposal),
        proposal=proposal,
        decision=model.decisions.get(proposal.id),
        actions=tuple(views),
        explanation=model.explanations.get(proposal.id),
    )


def promised_action(model: ReadModel, proposal: Proposal) -> ActionView | None:
    """Return the action that an approval has made possible, granted or not yet; None where nothing is approved."""
    decision = model.decisions.get(proposal.id)
    if decision is None or decision.outcome is not DecisionOutcome.APPROVED or decision.digest is None or proposal.chosen is None:
        return None
    identifier = action_id(proposal.id, decision.digest)
    if doing := model.doings.get(identifier):
        return action_view(model, doing)
    return ActionView(
        id=identifier,
        proposal=proposal.id,
        incident=proposal.incident,
        incident_status=incident_status(model, proposal.incident),
        mode=decision.mode,
        spec=proposal.chosen.spec,
        status=ActionStatus.APPROVED,
    )


def action_view(model: ReadModel, doing: Doing) -> ActionView:
    word, end = doing.word, doing.finished
    status, detail = ActionStatus.GRANTED, ""
    if end is not None:
        status, detail = _ENDED[end.status], end.detail
    elif doing.refused is not None:
        status, detail = ActionStatus.REFUSED, f"{doing.refused.reason.value} {doing.refused.detail}".strip()
    elif doing.started is not None:
        status = ActionStatus.STARTED
    ended = end or doing.refused
    return ActionView(
        id=doing.id,
        proposal=word.proposal,
        incident=word.incident,
        incident_status=incident_status(model, word.incident),
        mode=word.mode,
        spec=word.spec,
        undo_of=word.undo_of,
        status=status,
        detail=detail,
        granted_at=word.at if isinstance(word, Grant) else None,
        started_at=doing.started.at if doing.started else None,
        ended_at=ended.at if ended else None,
        before=end.before if end else {},
        after=end.after if end else {},
        outcome=model.outcomes.get(doing.id),
    )


def pending_proposals(model: ReadModel) -> PendingPage:
    """Return what waits for a person, the next to expire first."""
    cases = sorted(pending(model.approvals), key=lambda case: (case.proposal.expires_at, case.proposal.id))
    return PendingPage(items=tuple(proposal_view(model, case.proposal) for case in cases))


def incident_status(model: ReadModel, incident: str) -> IncidentStatus | None:
    page = model.incidents.get(incident)
    if page is None:
        return None
    if page.incident.phase is IncidentPhase.RESOLVED:
        return IncidentStatus.RESOLVED
    if incident in model.approvals.open:
        return IncidentStatus.PENDING_APPROVAL
    proposals = model.of_incident.get(incident) or []
    doings = [doing for name in proposals for doing in model.doings_of(name) if doing.refused is None]
    if any(doing.finished is None for doing in doings) or _awaits_grant(model, incident):
        return IncidentStatus.ACTING
    if any(doing.id not in model.outcomes for doing in doings if doing.word.undo_of is None):
        return IncidentStatus.VERIFYING  # an undo is told, not judged
    return IncidentStatus.OPEN


def _awaits_grant(model: ReadModel, incident: str) -> bool:
    decisions = (model.decisions.get(proposal) for proposal in model.of_incident.get(incident) or ())
    approved = (decision for decision in decisions if decision and decision.outcome is DecisionOutcome.APPROVED)
    return any(decision.digest and action_id(decision.proposal, decision.digest) not in model.doings for decision in approved)


def incident_summary(model: ReadModel, incident: Incident) -> IncidentSummary:
    waiting = model.approvals.open.get(incident.incident)
    return IncidentSummary(
        id=incident.incident,
        status=incident_status(model, incident.incident) or IncidentStatus.OPEN,
        title=incident.title,
        severity=incident.severity,
        services=incident.services,
        version=incident.version,
        opened_at=incident.opened_at,
        updated_at=incident.at,
        pending=(waiting,) if waiting else (),
    )


def incident_page(model: ReadModel, status: IncidentStatus | None, limit: int, after: str | None) -> IncidentPage:
    """Return a page of incidents, the newest first, after the one named."""
    incidents = model.incidents.all()
    if after is not None:
        names = [incident.incident for incident in incidents]
        if after not in names:
            raise Refusal(404, "not_found", f"no incident {after!r} to go on after", "start again without ?after=")
        incidents = incidents[names.index(after) + 1 :]
    summaries = (incident_summary(model, incident) for incident in incidents)
    found = list(islice((summary for summary in summaries if status is None or summary.status is status), limit + 1))
    return IncidentPage(items=tuple(found[:limit]), next=found[limit - 1].id if len(found) > limit else None)


def incident_detail(model: ReadModel, identifier: str) -> IncidentDetail:
    incident = model.incidents.latest(identifier)
    if incident is None:
        raise not_found("incident", identifier)
    proposals = [model.proposals.get(name) for name in reversed(model.of_incident.get(identifier) or [])]
    return IncidentDetail(
        summary=incident_summary(model, incident),
        incident=incident,
        proposals=tuple(proposal_view(model, proposal) for proposal in proposals if proposal),
        feedback=model.incidents.feedback(identifier),
    )
