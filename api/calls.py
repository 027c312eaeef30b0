"""The calls under /api/v1: what heritage promised, as far as it serves the loop."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request

from api.ask import action_view, incident_detail, incident_page, pending_proposals, promised_action, proposal_view
from api.auth import operator, reader, same_person
from api.decide import Word, decide, find, reach, record
from api.deps import Dependencies
from api.errors import Refusal, not_found
from models.approvals import armed
from schemas import topics
from schemas.approvals import CommandVerb
from schemas.base import derive_id
from schemas.http import (
    ActionView,
    ApproveBody,
    ArmingReply,
    DecisionReply,
    FeedbackBody,
    FeedbackReply,
    IncidentDetail,
    IncidentPage,
    IncidentStatus,
    PendingPage,
    Problem,
    ProposalView,
    RejectBody,
)
from schemas.incidents import Feedback
from streams.harness.emit import emit

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,80}$")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200, description="the same key again is the same command")]
Reader = Annotated[str | None, Depends(reader)]
Operator = Annotated[str, Depends(operator)]

PROBLEMS: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (401, 403, 404, 409, 410, 413, 422, 503)}

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)


def dependencies(request: Request) -> Dependencies:
    deps: Dependencies = request.app.state.deps
    return deps


Deps = Annotated[Dependencies, Depends(dependencies)]


@router.get("/incidents")
async def incidents(
    deps: Deps,
    _: Reader,
    status: IncidentStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=80)] = None,
) -> IncidentPage:
    """List incidents, the newest first."""
    return incident_page(deps.model, status, limit, after)


@router.get("/incidents/{incident}")
async def incident(deps: Deps, _: Reader, incident: Name) -> IncidentDetail:
    """Show an incident with its proposals, decisions, actions and outcomes; the LLM's explanation stands beside."""
    return incident_detail(deps.model, incident)


@router.post("/incidents/{incident}/feedback")
async def feedback(deps: Deps, subject: Operator, incident: Name, body: FeedbackBody, key: Key = None) -> FeedbackReply:
    """Record an operator's word on the cause; other words under the same key get 409."""
    if deps.model.incidents.get(incident) is None:
        raise not_found("incident", incident)
    said = Feedback(
        id=derive_id("fbk", incident, subject, key or deps.new_id()),
        incident=incident,
        subject=subject,
        at=deps.clock(),
        confirmed_service=body.confirmed_service,
        confirmed_cause=body.confirmed_cause,
        note=body.note,
    )
    look = f"GET /api/v1/incidents/{incident} shows it"
    held = _held(deps, said)
    if held is None:
        await record(deps, deps.incidents, emit(topics.INCIDENTS, incident, said), said.id, look)
        held = _held(deps, said)
    if held is None:  # the book has dropped the incident, or under a hundred later words this one
        raise Refusal(503, "unknown", "it is recorded, and is not kept here", look, command=said.id)
    return FeedbackReply(feedback=held)


def _held(deps: Dependencies, said: Feedback) -> Feedback | None:
    """Return the word that the log holds under this one's id; refuse where it says something else."""
    held = next((word for word in deps.model.incidents.feedback(said.incident) if word.id == said.id), None)
    if held is not None and any(getattr(held, name) != getattr(said, name) for name in ("confirmed_service", "confirmed_cause", "note")):
        raise Refusal(
            409, "key_reused", "other words stand on the log under this Idempotency-Key", "say it again under another Idempotency-Key"
        )
    return held


@router.get("/approvals/pending")
async def pending(deps: Deps, _: Reader) -> PendingPage:
    """List proposals that wait for a person, the next to expire first."""
    return pending_proposals(deps.model)


@router.get("/approvals/{identifier}")
async def proposal(deps: Deps, _: Reader, identifier: Name) -> ProposalView:
    """Show a proposal, decided or not; `identifier` is its own or that of the action that it would become."""
    found, _mode = await find(deps, identifier)
    return proposal_view(deps.model, found)


@router.post("/approvals/{identifier}/approve")
async def approve(deps: Deps, subject: Operator, identifier: Name, body: ApproveBody, key: Key = None) -> DecisionReply:
    """Approve a proposal's dry run or live action; the loser of a race gets 409 with who and when."""
    same_person(body.approved_by, subject, "approved_by")
    request = key or deps.new_id()
    return await decide(
        deps, Word(identifier, CommandVerb.APPROVE, subject, body.execution_mode, digest=body.digest, reason=body.reason, request=request)
    )


@router.post("/approvals/{identifier}/reject")
async def reject(deps: Deps, subject: Operator, identifier: Name, body: RejectBody, key: Key = None) -> DecisionReply:
    """Reject a proposal with a reason."""
    same_person(body.rejected_by, subject, "rejected_by")
    return await decide(deps, Word(identifier, CommandVerb.REJECT, subject, reason=body.reason, request=key or deps.new_id()))


@router.post("/actions/{identifier}/execute")
async def execute(deps: Deps, _: Operator, identifier: Name) -> ActionView:
    """Say how far an approved action has come; approval is what triggers it, so asking twice does nothing twice."""
    await reach(deps.actions, deps.wait_s)
    await reach(deps.approvals, deps.wait_s)
    if doing := deps.model.doings.get(identifier):  # an undo among them: it is no proposal's action, but its own
        return action_view(deps.model, doing)
    proposal, mode = await find(deps, identifier)
    action = promised_action(deps.model, proposal)
    if action is None or mode not in (None, action.mode):
        raise Refusal(
            409, "not_approved", "nothing is executed that is not approved", f"POST /api/v1/approvals/{proposal.id}/approve first"
        )
    return action


@router.get("/arming")
async def arming(deps: Deps, _: Reader) -> ArmingReply:
    """Say whether acting is armed on this cluster; `airra act arm` arms."""
    found = armed(deps.model.approvals, deps.cluster, deps.clock())
    return ArmingReply(armed=found is not None, by=found.by if found else None, until=found.until if found else None, cluster=deps.cluster)
