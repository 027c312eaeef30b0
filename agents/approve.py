"""approve: airra.approvals.v1 → decisions on the same log, and notices of what nobody may or did decide."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from models.approvals import ApprovalBook, CommandFate, fold, restore, snapshot, verdict_on
from schemas.approvals import APPROVAL_EVENTS, Command, Decision, DecisionOutcome
from schemas.base import derive_id
from schemas.config.policy import Policy
from schemas.kinds import Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.topics import APPROVALS, NOTICES
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

DECISIONS = Counter("airra_approve_decisions_total", "proposals decided", ["outcome"])
LOST = Counter("airra_approve_lost_commands_total", "commands that decided nothing", ["fate"])
PENDING = Gauge("airra_approve_pending_proposals", "proposals that wait for a decision")
EVICTED = Counter("airra_approve_evicted_entries_total", "oldest entries of the book dropped at its caps")

TOLD = {
    DecisionOutcome.EXPIRED: "nobody decided in time",
    DecisionOutcome.FORBIDDEN: "policy forbids the action",
}

log = structlog.get_logger()


def stage(policy: Policy) -> Stage[ApprovalBook]:
    """Return the stage that announces what the book decides; `policy` as `models.approvals.in_force` returns it."""

    def apply(state: ApprovalBook, record: Record, now: int) -> Sequence[Output]:
        event = parse(APPROVAL_EVENTS, record)
        evicted = state.evicted
        decided = fold(state, event, now, position(record))
        EVICTED.inc(state.evicted - evicted)
        PENDING.set(len(state.open))
        if isinstance(event, Command) and (verdict := verdict_on(state, event.id)) and verdict.fate is not CommandFate.WON:
            LOST.labels(verdict.fate).inc()
            log.info("command_lost", command=event.id, proposal=event.proposal, subject=event.subject, fate=verdict.fate)
        outputs: list[Output] = []
        for decision in decided:
            DECISIONS.labels(decision.outcome).inc()
            log.info("decision", incident=decision.incident, proposal=decision.proposal, outcome=decision.outcome, subject=decision.subject)
            outputs.append(emit(APPROVALS, decision.proposal, decision))
            if decision.outcome in TOLD:
                outputs.append(emit(NOTICES, decision.incident, _escalated(state, decision)))
        return outputs

    return Stage("approve", APPROVALS.name, lambda data: restore(data, policy), apply, snapshot, tick_every_s=1)


def _escalated(book: ApprovalBook, decision: Decision) -> Notice:
    case = book.cases.get(decision.proposal)
    return Notice(
        id=derive_id("ntc", decision.id, NoticeKind.ESCALATED),
        kind=NoticeKind.ESCALATED,
        incident=decision.incident,
        severity=Severity.WARNING,
        title=case.proposal.title if case else f"proposal {decision.proposal}",
        text=f"{TOLD[decision.outcome]}: a human must look",
        at=decision.at,
    )
