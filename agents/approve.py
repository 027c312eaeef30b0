"""approve: airra.approvals.v1 → decisions and the policy in force on the same log, and notices of what a person must decide or look at."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from agents.evictions import count_evicted
from models.approvals import CommandFate, InForce, fold, verdict_on
from models.approvals.announce import Announcer, asked, escalated, policy_to_say, restore, snapshot
from schemas.approvals import APPROVAL_EVENTS, Command, Decision
from schemas.base import digest
from schemas.config.policy import Policy
from schemas.topics import APPROVALS, NOTICES
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

DECISIONS = Counter("airra_approve_decisions_total", "proposals decided", ["outcome"])
LOST = Counter("airra_approve_lost_commands_total", "commands that decided nothing", ["fate"])
POLICIES = Counter("airra_approve_policies_total", "policies put on the log: the configured one differed from the one in force")
PENDING = Gauge("airra_approve_pending_proposals", "proposals that wait for a decision")
EVICTED = Counter("airra_approve_evicted_entries_total", "oldest entries of the book dropped at its caps", ["table"])

log = structlog.get_logger()


def stage(policy: Policy) -> Stage[Announcer]:
    """Return the stage that announces what the book decides; it puts `policy` (`models.approvals.in_force`) on the log."""
    configured = InForce(digest(policy), policy)

    def apply(state: Announcer, record: Record, now: int) -> Sequence[Output]:
        event, book = parse(APPROVAL_EVENTS, record), state.book
        if record.offset <= book.offset:
            return ()
        decided = fold(book, event, now, position(record))
        count_evicted(EVICTED, book)
        PENDING.set(len(book.open))
        if isinstance(event, Command) and (verdict := verdict_on(book, event.id)) and verdict.fate is not CommandFate.WON:
            LOST.labels(verdict.fate).inc()
            log.info("command_lost", command=event.id, proposal=event.proposal, subject=event.subject, fate=verdict.fate)
        _count(decided)
        notices = [*(notice for decision in decided if (notice := escalated(book, decision))), *asked(book, now)]
        outputs = [emit(APPROVALS, decision.proposal, decision) for decision in decided]
        if said := policy_to_say(state, configured, event, now, record.offset):
            POLICIES.inc()
            log.info("policy", digest=said.digest, before=book.in_force.digest)
            outputs.append(emit(APPROVALS, said.id, said))
        return [*outputs, *(emit(NOTICES, notice.incident, notice) for notice in notices)]

    return Stage("approve", APPROVALS.name, restore, apply, snapshot, tick_every_s=1)


def _count(decided: Sequence[Decision]) -> None:
    for decision in decided:
        DECISIONS.labels(decision.outcome).inc()
        log.info("decision", incident=decision.incident, proposal=decision.proposal, outcome=decision.outcome, subject=decision.subject)
