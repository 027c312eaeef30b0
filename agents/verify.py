"""verify: airra.incidents.v1 → outcomes, requests to undo what made things worse, and notices."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from agents.evictions import count_evicted
from models.verification import Verification, restore, snapshot, take
from schemas.config.policy import Policy
from schemas.incidents import INCIDENT_EVENTS
from schemas.topics import APPROVALS, INCIDENTS, NOTICES, OUTCOMES
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

VERDICTS = Counter("airra_verify_outcomes_total", "outcomes written, corrections among them", ["verdict", "mode"])
UNDOS = Counter("airra_verify_undo_requests_total", "actions found worse that had an approved undo")
WATCHED = Gauge("airra_verify_watched_actions", "actions under observation")
EVICTED = Counter("airra_verify_evicted_entries_total", "oldest entries dropped at a cap", ["table"])

log = structlog.get_logger()


def stage(policy: Policy) -> Stage[Verification]:
    """Return the stage that verifies; it reads the ticks that reason writes to the same log."""

    def apply(state: Verification, record: Record, now: int) -> Sequence[Output]:
        event = parse(INCIDENT_EVENTS, record)
        taken = take(state, event, now, position(record), policy.verification)
        count_evicted(EVICTED, state)
        WATCHED.set(len(state.watches))
        UNDOS.inc(len(taken.undos))
        for outcome in taken.outcomes:
            VERDICTS.labels(outcome.verdict, outcome.mode).inc()
            log.info("outcome", incident=outcome.incident, action=outcome.action, verdict=outcome.verdict, correct=outcome.correct)
        return [
            *(emit(OUTCOMES, outcome.action, outcome) for outcome in taken.outcomes),
            *(emit(APPROVALS, undo.proposal, undo) for undo in taken.undos),
            *(emit(NOTICES, notice.incident, notice) for notice in taken.notices),
        ]

    return Stage("verify", INCIDENTS.name, restore, apply, snapshot)
