"""admit: airra.approvals.v1 → grants on airra.actions.v1, at most one live action a target, within the hour's budget."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from agents.evictions import count_evicted
from models.admission import Admission, restore, snapshot, take
from schemas.actions import Grant
from schemas.approvals import APPROVAL_EVENTS
from schemas.config.policy import Policy
from schemas.topics import ACTIONS, APPROVALS
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

GRANTS = Counter("airra_admit_grants_total", "actions granted", ["mode"])
REFUSALS = Counter("airra_admit_refusals_total", "actions refused before a grant", ["reason"])
WAITING = Gauge("airra_admit_waiting_actions", "actions that wait for their target")
LEASES = Gauge("airra_admit_leases", "targets that a live action holds")
EVICTED = Counter("airra_admit_evicted_entries_total", "oldest entries dropped at a cap, or new ones refused there", ["table"])

log = structlog.get_logger()


def stage(policy: Policy) -> Stage[Admission]:
    """Return the stage that grants; `policy` as `models.approvals.in_force` returns it. report copies its refusals."""

    def apply(state: Admission, record: Record, now: int) -> Sequence[Output]:
        event = parse(APPROVAL_EVENTS, record)
        words = take(state, event, now, position(record))
        count_evicted(EVICTED, state, state.book)
        WAITING.set(len(state.waiting))
        LEASES.set(len(state.leases))
        for word in words:
            if isinstance(word, Grant):
                GRANTS.labels(word.mode).inc()
                log.info("granted", incident=word.incident, action=word.id, mode=word.mode, undo_of=word.undo_of)
            else:
                REFUSALS.labels(word.reason).inc()
                log.warning("not_granted", incident=word.incident, action=word.action, reason=word.reason, detail=word.detail)
        return [emit(ACTIONS, word.id if isinstance(word, Grant) else word.action, word) for word in words]

    return Stage("admit", APPROVALS.name, lambda data: restore(data, policy), apply, snapshot)
