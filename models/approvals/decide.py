"""Decide a case, once, and keep what is decided bounded."""

from __future__ import annotations

from models.approvals.case import MAX_CASES, MAX_FORGOTTEN, ApprovalBook, Case
from models.evicted import count
from schemas.approvals import CLOCK, POLICY, Decision, DecisionOutcome, Proposal
from schemas.base import Millis, Position, derive_id
from schemas.kinds import Mode


def decide(
    book: ApprovalBook,
    case: Case,
    now: Millis,
    position: Position,
    outcome: DecisionOutcome,
    *,
    subject: str,
    mode: Mode = Mode.DRY_RUN,
    reason: str = "",
) -> Decision:
    """Write the decision into the case and close it; the record at `position` decided."""
    proposal = case.proposal
    case.decision = Decision(
        id=derive_id("dec", proposal.id),
        proposal=proposal.id,
        incident=proposal.incident,
        outcome=outcome,
        mode=mode,
        digest=digest_of(proposal, mode) if outcome is DecisionOutcome.APPROVED else None,
        subject=subject,
        reason=reason,
        at=now,
        source=position,
    )
    case.explanation_until = None
    acted_on = tuple(hypothesis for hypothesis in proposal.hypotheses if proposal.chosen and hypothesis.rank == proposal.chosen.hypothesis)
    case.proposal = proposal.model_copy(update={"hypotheses": acted_on, "candidates": ()})
    if book.open.get(proposal.incident) == proposal.id:
        del book.open[proposal.incident]
    book.cases[proposal.id] = book.cases.pop(proposal.id)  # what was decided last is forgotten last
    return case.decision


def by_clock(
    book: ApprovalBook, case: Case, now: Millis, position: Position, outcome: DecisionOutcome = DecisionOutcome.EXPIRED, reason: str = ""
) -> Decision:
    """Close what nobody decided, or need decide any more."""
    return decide(book, case, now, position, outcome, subject=CLOCK, reason=reason)


def by_policy(book: ApprovalBook, case: Case, now: Millis, position: Position, outcome: DecisionOutcome) -> Decision:
    """Approve in the mode that the ruling names, or forbid."""
    mode = case.mode if outcome is DecisionOutcome.APPROVED else Mode.DRY_RUN
    return decide(book, case, now, position, outcome, subject=POLICY, mode=mode)


def digest_of(proposal: Proposal, mode: Mode) -> str | None:
    if proposal.digests is None:
        return None
    return proposal.digests.live if mode is Mode.LIVE else proposal.digests.dry_run


def forget(book: ApprovalBook) -> None:
    """Drop the cases over the cap, the first decided first, and remember their ids: a repeat is not decided anew."""
    over = len(book.cases) - MAX_CASES
    if over <= 0:
        return
    undecided = set(book.open.values())
    for name in [name for name in book.cases if name not in undecided][:over]:
        book.forgotten[name] = book.cases.pop(name).proposal.expires_at
        count(book, "cases")
    while len(book.forgotten) > MAX_FORGOTTEN:
        book.horizon = max(book.horizon, book.forgotten.pop(next(iter(book.forgotten))))
        count(book, "forgotten")
