"""What the approvals log's one writer of decisions adds to the shared book: the policy on the log, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from models.approvals.case import ApprovalBook, Case, InForce
from schemas.approvals import ApprovalEvent, Decision, DecisionOutcome, PolicyInForce, Proposal
from schemas.base import Millis, derive_id
from schemas.kinds import Severity
from schemas.outcomes import Notice, NoticeKind

TOLD = {
    DecisionOutcome.EXPIRED: "nobody decided in time",
    DecisionOutcome.FORBIDDEN: "policy forbids the action",
}


@dataclass(slots=True)
class Announcer:
    """approve's state: the shared book, and the digest of the policy that it has emitted and not read back yet."""

    book: ApprovalBook
    saying: str = ""


_STATE: TypeAdapter[Announcer] = TypeAdapter(Announcer)


def snapshot(state: Announcer) -> bytes:
    return _STATE.dump_json(state, exclude={"book": {"policy"}}, by_alias=True)


def restore(data: bytes | None) -> Announcer:
    return _STATE.validate_json(data) if data else Announcer(ApprovalBook())


def policy_to_say(state: Announcer, configured: InForce, event: ApprovalEvent, now: Millis, offset: int) -> PolicyInForce | None:
    """Return the configured policy where the log neither has it in force nor is about to; call it once a folded record."""
    if isinstance(event, PolicyInForce) and event.digest == state.saying:
        state.saying = ""
    if configured.digest == (state.saying or state.book.in_force.digest):
        return None
    state.saying = configured.digest
    content = configured.policy.model_dump(mode="json")
    return PolicyInForce(id=derive_id("pol", configured.digest, offset), digest=configured.digest, content=content, at=now)


def asked(book: ApprovalBook, now: Millis) -> list[Notice]:
    """Return a notice for each proposal that the newest record left to a human."""
    cases = (book.cases[proposal] for proposal in book.open.values())
    return [_approval_needed(case.proposal, now) for case in cases if case.asked == book.offset]


def escalated(book: ApprovalBook, decision: Decision) -> Notice | None:
    """Return the notice of a decision that nobody took and somebody must look at."""
    if decision.outcome not in TOLD:
        return None
    case: Case | None = book.cases.get(decision.proposal)
    return Notice(
        id=derive_id("ntc", decision.id, NoticeKind.ESCALATED),
        kind=NoticeKind.ESCALATED,
        incident=decision.incident,
        severity=case.proposal.severity if case else Severity.WARNING,
        title=case.proposal.title if case else f"proposal {decision.proposal}",
        text=f"{TOLD[decision.outcome]}: a human must look",
        at=decision.at,
    )


def _approval_needed(proposal: Proposal, now: Millis) -> Notice:
    top = proposal.hypotheses[0] if proposal.hypotheses else None
    why = f"{top.service}: {top.cause.value}, confidence {top.confidence:.2f}; {'; '.join(top.reasons)}" if top else "no hypothesis"
    return Notice(
        id=derive_id("ntc", NoticeKind.APPROVAL_NEEDED, proposal.id),
        kind=NoticeKind.APPROVAL_NEEDED,
        incident=proposal.incident,
        severity=proposal.severity,
        title=proposal.title,
        text=why,
        at=now,
    )
