"""report: airra.actions.v1 → copies of what execute and admit say on airra.incidents.v1 and airra.approvals.v1.

A stage of its own, because only a fold of the actions log can tell which words count (a zombie's do not) and where each stands,
and the harness then guarantees that a copy is never lost, whatever dies between the word and its copies.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter

from agents.evictions import count_evicted
from models.execution.log import ActionLog, fold, restore, snapshot
from schemas.actions import ACTION_EVENTS, Finished, Refused, Started
from schemas.topics import ACTIONS, APPROVALS, INCIDENTS
from streams.harness.emit import emit, parse, position
from streams.harness.stage import Output, Record, Stage

IGNORED = Counter("airra_report_ignored_records_total", "repeats, second ends and words of older owners", ["type"])
EVICTED = Counter("airra_report_evicted_entries_total", "oldest open grants and ends dropped at a cap", ["table"])


def report() -> Stage[ActionLog]:
    """Return the stage that copies."""

    def apply(state: ActionLog, record: Record, now: int) -> Sequence[Output]:
        del now
        event = parse(ACTION_EVENTS, record)
        counts = fold(state, event, record.offset)
        count_evicted(EVICTED, state)
        if not counts:
            IGNORED.labels(event.type).inc()
            return ()
        if not isinstance(event, Started | Refused | Finished):
            return ()
        where = position(record)
        return [emit(INCIDENTS, event.incident, event, where), emit(APPROVALS, event.proposal, event, where)]

    return Stage("report", ACTIONS.name, restore, apply, snapshot)
