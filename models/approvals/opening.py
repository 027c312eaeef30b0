"""Open a proposal under the policy in force, and close without a person what needs none, or no longer."""

from __future__ import annotations

from models.approvals.case import MAX_OVER, MAX_PENDING, MAX_POLICIES, ApprovalBook, Case, InForce, cap
from models.approvals.decide import by_clock, by_policy, forget
from models.approvals.rules import read, ruling
from models.evicted import count
from schemas.approvals import POLICY, Decision, DecisionOutcome, Explanation, PolicyInForce, Proposal, Withdrawal
from schemas.base import Millis, Position
from schemas.config.policy import Rule, Ruling
from schemas.kinds import Mode


def propose(book: ApprovalBook, proposal: Proposal, now: Millis, position: Position) -> list[Decision]:
    """Take a proposal in; a repeat changes nothing."""
    if proposal.id in book.cases or proposal.id in book.forgotten:
        return []
    case = book.cases[proposal.id] = Case(proposal=proposal, appended_at=now, ruling=None)
    decided = _open(book, case, now, position)
    while len(book.open) > MAX_PENDING:
        count(book, "open")
        oldest = book.cases[next(iter(book.open.values()))]
        decided.append(by_clock(book, oldest, now, position, reason="too many proposals are open"))
    forget(book)
    return decided


def _open(book: ApprovalBook, case: Case, now: Millis, position: Position) -> list[Decision]:
    proposal, decided = case.proposal, []
    rule = _rule(book, case)
    if rule is not None:
        case.ruling, case.mode = rule.decide, rule.mode
    if older := book.cases.get(book.open.get(proposal.incident, "")):
        if older.proposal.incident_version > proposal.incident_version:  # a zombie's: it knew less than what is open
            return [by_clock(book, case, now, position, DecisionOutcome.SUPERSEDED, f"by {older.proposal.id}")]
        decided.append(by_clock(book, older, now, position, DecisionOutcome.SUPERSEDED, f"by {proposal.id}"))
    if rule is None:
        return decided
    if proposal.incident in book.over:
        return [*decided, by_clock(book, case, now, position, DecisionOutcome.WITHDRAWN, "nothing more is decided for the incident")]
    if now > proposal.expires_at or proposal.expires_at <= book.horizon:
        return [*decided, by_clock(book, case, now, position)]
    book.open[proposal.incident] = proposal.id
    return [*decided, *_ruled(book, case, now, position)]


def _rule(book: ApprovalBook, case: Case) -> Rule | None:
    """Return what the policy in force says of the action; None where there is none."""
    chosen = case.proposal.chosen
    if chosen is None or case.proposal.digests is None:
        return None
    return ruling(book.in_force.policy, chosen.spec.action, chosen.spec.service, case.proposal.criticality)


def _ruled(book: ApprovalBook, case: Case, now: Millis, position: Position) -> list[Decision]:
    """Do as the ruling says. Automatic waits for the LLM where one is on, and is a human's where not sure, fresh or new enough."""
    if case.ruling is Ruling.FORBIDDEN:
        return [by_policy(book, case, now, position, DecisionOutcome.FORBIDDEN)]
    sure, fresh = _sure_and_fresh(book, case)
    if case.ruling is Ruling.HUMAN or not (sure and fresh) or _rehearsed(book, case):
        _ask(case, position)
        return []
    if (wait_s := book.in_force.policy.automatic.explanation_wait_s) > 0:
        case.explanation_until = now + int(wait_s * 1000)
        return []
    return [by_policy(book, case, now, position, DecisionOutcome.APPROVED)]


def _sure_and_fresh(book: ApprovalBook, case: Case) -> tuple[bool, bool]:
    """Hold a proposal as it came against the bounds in force: ruled again, it fails by a stricter policy and not by having waited."""
    bounds, confidence = book.in_force.policy.automatic, case.proposal.confidence
    sure = confidence is not None and confidence >= bounds.threshold_high
    return sure, case.appended_at - case.proposal.at <= bounds.evidence_s * 1000


def _rehearsed(book: ApprovalBook, case: Case) -> bool:
    """Tell whether policy has had this action tried dry for the incident already: what is left to decide is the live one."""
    if case.mode is not Mode.DRY_RUN or case.proposal.chosen is None:
        return False
    spec, incident = case.proposal.chosen.spec, case.proposal.incident
    return any(
        other.decision.outcome is DecisionOutcome.APPROVED and other.decision.subject == POLICY
        for other in book.cases.values()
        if other.decision and other.proposal.incident == incident and other.proposal.chosen and other.proposal.chosen.spec == spec
    )


def _ask(case: Case, position: Position) -> None:
    case.ruling = Ruling.HUMAN
    case.explanation_until = None
    case.asked = position.offset


def explain(book: ApprovalBook, explanation: Explanation, now: Millis, position: Position) -> list[Decision]:
    """Let the LLM's word end the wait: its disagreement turns automatic into human, and nothing else."""
    case = book.cases.get(explanation.proposal)
    if case is None or case.decision is not None or case.explanation_until is None:
        return []
    if explanation.status == "ok" and explanation.agrees is False:
        _ask(case, position)
        return []
    return [by_policy(book, case, now, position, DecisionOutcome.APPROVED)]


def expire(book: ApprovalBook, now: Millis, position: Position) -> list[Decision]:
    """Decide what this record's append time ends: waits for the LLM, then proposals past their expiry."""
    decided = []
    for case in [book.cases[proposal] for proposal in book.open.values()]:
        if now > case.proposal.expires_at:
            decided.append(by_clock(book, case, now, position))
        elif case.explanation_until is not None and now > case.explanation_until:
            decided.append(by_policy(book, case, now, position, DecisionOutcome.APPROVED))
    return decided


def withdraw(book: ApprovalBook, withdrawal: Withdrawal, now: Millis, position: Position) -> list[Decision]:
    """Close what is open for an incident that is over, and whatever a zombie may still propose for it."""
    case = book.cases.get(book.open.get(withdrawal.incident, ""))
    book.over.setdefault(withdrawal.incident)
    cap(book, "over", book.over, MAX_OVER)
    return [by_clock(book, case, now, position, DecisionOutcome.WITHDRAWN, withdrawal.reason.value)] if case else []


def enforce(book: ApprovalBook, event: PolicyInForce, now: Millis, position: Position) -> list[Decision]:
    """Rule by this policy from here on. What is undecided is ruled again where that is stricter, and never looser."""
    if event.id in book.policies:
        return []
    book.policies[event.id] = None
    cap(book, "policies", book.policies, MAX_POLICIES)
    book.in_force = InForce(event.digest, read(event))
    decided = []
    for case in [book.cases[proposal] for proposal in book.open.values()]:
        rule = _rule(book, case)
        if rule is not None and rule.decide is Ruling.FORBIDDEN:
            case.ruling = Ruling.FORBIDDEN
            decided.append(by_policy(book, case, now, position, DecisionOutcome.FORBIDDEN))
        elif rule is not None and case.ruling is Ruling.AUTOMATIC and not _stays_automatic(book, case, rule):
            _ask(case, position)
    return decided


def _stays_automatic(book: ApprovalBook, case: Case, rule: Rule) -> bool:
    """Tell whether the policy in force would have left the case to policy too, and in the same mode."""
    return (rule.decide, rule.mode) == (Ruling.AUTOMATIC, case.mode) and all(_sure_and_fresh(book, case))
