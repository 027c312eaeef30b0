"""Fold the approvals log: what is proposed, what was decided by the first valid record, and who lost.

Every reader (approve, admit, execute, the API) folds with the same functions, so all agree without asking each other. The book's
own computed decision is the truth; a Decision record announces it, and one that contradicts it (a zombie's) has no effect.
"""

from __future__ import annotations

from models.approvals.case import (
    MAX_ARMINGS,
    MAX_CASES,
    MAX_CLUSTERS,
    MAX_COMMANDS,
    MAX_PENDING,
    MAX_UNDOS,
    ApprovalBook,
    Case,
    CommandFate,
    CommandVerdict,
    cap,
)
from models.approvals.rules import ruling
from schemas.approvals import ApprovalEvent, Arming, Command, CommandVerb, Decision, DecisionOutcome, Explanation, Proposal, UndoRequest
from schemas.base import Millis, Position, derive_id
from schemas.config.policy import Ruling
from schemas.kinds import Mode

CLOCK = "clock"
POLICY = "policy"


def fold(book: ApprovalBook, event: ApprovalEvent, now: Millis, position: Position) -> list[Decision]:
    """Fold one record in place and return what it decided (each to be announced by approve).

    `now` is the record's append time in ms. A record at or below the last offset changes nothing.
    """
    if position.offset <= book.offset:
        return []
    book.offset = position.offset
    book.newest = max(book.newest, now)
    decided = _expire(book, now, position)
    match event:
        case Proposal():
            decided += _propose(book, event, now, position)
        case Command():
            decided += _command(book, event, now, position)
        case Explanation():
            decided += _explain(book, event, now, position)
        case Decision():
            _announce(book, event)
        case Arming():
            _arm(book, event)
        case UndoRequest():
            book.undos.setdefault(event.action, event)
            cap(book, book.undos, MAX_UNDOS)
        case _:
            pass
    return decided


def _propose(book: ApprovalBook, proposal: Proposal, now: Millis, position: Position) -> list[Decision]:
    if proposal.id in book.cases:
        return []
    decided = []
    case = Case(proposal=proposal, appended_at=now, ruling=None)
    book.cases[proposal.id] = case
    _forget(book, now)
    if older := book.cases.get(book.open.get(proposal.incident, "")):
        if older.proposal.incident_version > proposal.incident_version:  # a zombie's: it knew less than what is open
            return [_decide(book, case, now, position, DecisionOutcome.SUPERSEDED, subject=CLOCK, reason=f"by {older.proposal.id}")]
        decided.append(_decide(book, older, now, position, DecisionOutcome.SUPERSEDED, subject=CLOCK, reason=f"by {proposal.id}"))
    if proposal.chosen is None or proposal.digests is None:
        return decided
    spec = proposal.chosen.spec
    rule = ruling(book.policy, spec.action, spec.service, proposal.criticality)
    case.ruling, case.mode = rule.decide, rule.mode
    book.open[proposal.incident] = proposal.id
    if case.ruling is Ruling.FORBIDDEN:
        return [*decided, _decide(book, case, now, position, DecisionOutcome.FORBIDDEN, subject=POLICY)]
    if now > proposal.expires_at:
        return [*decided, _decide(book, case, now, position, DecisionOutcome.EXPIRED, subject=CLOCK)]
    if case.ruling is Ruling.AUTOMATIC:
        decided += _automatic(book, case, now, position)
    while len(book.open) > MAX_PENDING:
        book.evicted += 1
        oldest = book.cases[next(iter(book.open.values()))]
        decided.append(_decide(book, oldest, now, position, DecisionOutcome.EXPIRED, subject=CLOCK, reason="too many proposals are open"))
    return decided


def _automatic(book: ApprovalBook, case: Case, now: Millis, position: Position) -> list[Decision]:
    """Approve as policy, or wait for the LLM's word, or (not sure or not fresh enough) leave it to a human."""
    bounds = book.policy.automatic
    confidence = case.proposal.confidence
    sure = confidence is not None and confidence >= bounds.threshold_high
    fresh = now - case.proposal.at <= bounds.evidence_s * 1000
    if not (sure and fresh):
        case.ruling = Ruling.HUMAN
        return []
    if bounds.explanation_wait_s > 0:
        case.explanation_until = now + int(bounds.explanation_wait_s * 1000)
        return []
    return [_approve_by_policy(book, case, now, position)]


def _approve_by_policy(book: ApprovalBook, case: Case, now: Millis, position: Position) -> Decision:
    return _decide(book, case, now, position, DecisionOutcome.APPROVED, subject=POLICY, mode=case.mode)


def _explain(book: ApprovalBook, explanation: Explanation, now: Millis, position: Position) -> list[Decision]:
    """Let the LLM's word end the wait: its disagreement turns automatic into human, and nothing else."""
    case = book.cases.get(explanation.proposal)
    if case is None or case.decision is not None or case.explanation_until is None:
        return []
    case.explanation_until = None
    if explanation.status == "ok" and explanation.agrees is False:
        case.ruling = Ruling.HUMAN
        return []
    return [_approve_by_policy(book, case, now, position)]


def _command(book: ApprovalBook, command: Command, now: Millis, position: Position) -> list[Decision]:
    if command.id in book.verdicts:
        return []
    case = book.cases.get(command.proposal)
    decided: list[Decision] = []
    verdict = CommandVerdict(CommandFate.WON, command.proposal, command.subject, at=now)
    if case is None:
        verdict = CommandVerdict(CommandFate.UNKNOWN_PROPOSAL, command.proposal)
    elif case.ruling is None:
        verdict = CommandVerdict(CommandFate.NO_ACTION, command.proposal)
    elif case.decision is not None:
        verdict = _lost(case.decision)
    elif command.verb is CommandVerb.REJECT:
        decided = [
            _decide(book, case, now, position, DecisionOutcome.REJECTED, subject=command.subject, mode=command.mode, reason=command.reason)
        ]
    elif command.digest != _digest(case.proposal, command.mode):
        verdict = CommandVerdict(CommandFate.WRONG_DIGEST, command.proposal)
    else:
        decided = [
            _decide(book, case, now, position, DecisionOutcome.APPROVED, subject=command.subject, mode=command.mode, reason=command.reason)
        ]
    if decided:
        verdict = CommandVerdict(CommandFate.WON, command.proposal, command.subject, decided[0].outcome, now)
    book.verdicts[command.id] = verdict
    cap(book, book.verdicts, MAX_COMMANDS)
    return decided


def _lost(decision: Decision) -> CommandVerdict:
    fate = {
        DecisionOutcome.EXPIRED: CommandFate.EXPIRED,
        DecisionOutcome.SUPERSEDED: CommandFate.SUPERSEDED,
        DecisionOutcome.FORBIDDEN: CommandFate.FORBIDDEN,
    }.get(decision.outcome, CommandFate.LOST)
    return CommandVerdict(fate, decision.proposal, decision.subject, decision.outcome, decision.at)


def _expire(book: ApprovalBook, now: Millis, position: Position) -> list[Decision]:
    """Decide what this record's append time ends: waits for the LLM, then proposals past their expiry."""
    decided = []
    for proposal in list(book.open.values()):
        case = book.cases[proposal]
        if now > case.proposal.expires_at:
            decided.append(_decide(book, case, now, position, DecisionOutcome.EXPIRED, subject=CLOCK))
        elif case.explanation_until is not None and now > case.explanation_until:
            case.explanation_until = None
            decided.append(_approve_by_policy(book, case, now, position))
    return decided


def _decide(
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
    proposal = case.proposal
    case.decision = Decision(
        id=derive_id("dec", proposal.id),
        proposal=proposal.id,
        incident=proposal.incident,
        outcome=outcome,
        mode=mode,
        digest=_digest(proposal, mode) if outcome is DecisionOutcome.APPROVED else None,
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
    return case.decision


def _digest(proposal: Proposal, mode: Mode) -> str | None:
    if proposal.digests is None:
        return None
    return proposal.digests.live if mode is Mode.LIVE else proposal.digests.dry_run


def _announce(book: ApprovalBook, decision: Decision) -> None:
    case = book.cases.get(decision.proposal)
    if case is not None and case.decision is not None:
        same = ("id", "outcome", "mode", "digest", "subject")
        case.announced = case.announced or all(getattr(case.decision, name) == getattr(decision, name) for name in same)


def _arm(book: ApprovalBook, arming: Arming) -> None:
    if arming.id in book.armings:
        return
    book.armings[arming.id] = None
    book.arming.pop(arming.cluster, None)
    book.arming[arming.cluster] = arming
    cap(book, book.armings, MAX_ARMINGS)
    cap(book, book.arming, MAX_CLUSTERS)


def _forget(book: ApprovalBook, now: Millis) -> None:
    """Drop the oldest cases over the cap; a repeated proposal that is gone has expired, so it cannot be decided anew."""
    over = len(book.cases) - MAX_CASES
    if over <= 0:
        return
    gone = [name for name, case in book.cases.items() if name not in book.open.values() and now > case.proposal.expires_at][:over]
    for name in gone:
        del book.cases[name]
        book.evicted += 1
