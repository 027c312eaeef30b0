"""The records that execute appends."""

from __future__ import annotations

from agents.execute.executors.base import Answer
from schemas.actions import Finished, FinishStatus, Grant, RefusalReason, Refused, Seen, Started
from schemas.base import Millis, derive_id


def started_of(grant: Grant, epoch: int, seen: Seen, at: Millis) -> Started:
    """Return the write-ahead of one sending; a later one, after a look-up said that the first never arrived, has an id of its own."""
    return Started(
        id=derive_id("sta", grant.id, epoch, at),
        action=grant.id,
        proposal=grant.proposal,
        incident=grant.incident,
        mode=grant.mode,
        spec=grant.spec,
        undo_of=grant.undo_of,
        undo=grant.undo,
        cause=grant.cause,
        hypothesis_service=grant.hypothesis_service,
        confidence=grant.confidence,
        epoch=epoch,
        seen=seen,
        at=at,
    )


def refused_of(grant: Grant, epoch: int, reason: RefusalReason, detail: str, seen: Seen, at: Millis) -> Refused:
    return Refused(
        id=derive_id("ref", grant.id),
        action=grant.id,
        proposal=grant.proposal,
        incident=grant.incident,
        mode=grant.mode,
        spec=grant.spec,
        reason=reason,
        detail=detail,
        undo_of=grant.undo_of,
        epoch=epoch,
        seen=seen,
        at=at,
    )


def finished_of(grant: Grant, epoch: int, status: FinishStatus, answer: Answer, at: Millis, *, looked_up: bool) -> Finished:
    return Finished(
        id=derive_id("fin", grant.id),
        action=grant.id,
        proposal=grant.proposal,
        incident=grant.incident,
        mode=grant.mode,
        spec=grant.spec,
        undo_of=grant.undo_of,
        status=status,
        epoch=epoch,
        looked_up=looked_up,
        detail=answer.detail,
        before=answer.before,
        after=answer.after,
        at=at,
    )
