"""reason: airra.incidents.v1 → proposals and withdrawals on airra.approvals.v1, and notices."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from agents.evictions import count_evicted
from agents.reason.cases import ReasonState, restore, snapshot
from agents.reason.decide import decide
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import INCIDENT_EVENTS
from schemas.topics import APPROVALS, INCIDENTS, NOTICES
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

BACKFILL_HEADER = "airra.backfill"  # historical evidence never proposes

PROPOSALS = Counter("airra_reason_proposals_total", "proposals written, abstentions among them", ["reason"])
WITHDRAWALS = Counter("airra_reason_withdrawals_total", "proposals taken back", ["reason"])
CASES = Gauge("airra_reason_open_cases", "incidents that reason follows now")
EVICTED = Counter("airra_reason_evicted_cases_total", "oldest cases, and ids of resolved ones, dropped at their caps", ["table"])
SKIPPED = Counter("airra_reason_historical_records_total", "records of a backfill, which propose nothing")

log = structlog.get_logger()


def stage(runbooks: RunbookCatalogue) -> Stage[ReasonState]:
    """Return the stage that proposes; the LLM has no part in it."""

    def apply(state: ReasonState, record: Record, now: int) -> Sequence[Output]:
        event = parse(INCIDENT_EVENTS, record)
        if record.header(BACKFILL_HEADER) is not None:
            SKIPPED.inc()
            return ()
        decided = decide(state, event, source=position(record), now=now, catalogue=runbooks)
        count_evicted(EVICTED, state)
        CASES.set(len(state.cases))
        for proposal in decided.proposals:
            PROPOSALS.labels(proposal.reason).inc()
            action = proposal.chosen.spec.action if proposal.chosen else None
            log.info("proposal", incident=proposal.incident, proposal=proposal.id, reason=proposal.reason, action=action)
        for withdrawal in decided.withdrawals:
            WITHDRAWALS.labels(withdrawal.reason).inc()
            log.info("withdrawal", incident=withdrawal.incident, reason=withdrawal.reason)
        return [
            *(emit(APPROVALS, proposal.id, proposal) for proposal in decided.proposals),
            *(emit(APPROVALS, withdrawal.incident, withdrawal) for withdrawal in decided.withdrawals),
            *(emit(NOTICES, notice.incident, notice) for notice in decided.notices),
        ]

    return Stage("reason", INCIDENTS.name, restore, apply, snapshot, tick_every_s=1)
