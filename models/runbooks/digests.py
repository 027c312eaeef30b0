"""What an approval binds: the action, its target as it was, its undo, the mode and the incident."""

from __future__ import annotations

from schemas.actions import ActionSpec, Preconditions
from schemas.approvals import Candidate, Digests
from schemas.base import digest
from schemas.kinds import Mode


def action_digest(spec: ActionSpec, preconditions: Preconditions, undo: ActionSpec | None, mode: Mode, *, incident: str) -> str:
    """Return the SHA-256 that an approval of this action in this mode names."""
    return digest(
        {
            "spec": spec.model_dump(mode="json"),
            "preconditions": preconditions.model_dump(mode="json"),
            "undo": undo.model_dump(mode="json") if undo else None,
            "mode": mode.value,
            "incident": incident,
        }
    )


def digests_of(chosen: Candidate, incident: str) -> Digests:
    """Return the digests of both modes: an approval names one of them."""
    both = {
        mode: action_digest(chosen.spec, chosen.preconditions, chosen.undo, mode, incident=incident) for mode in (Mode.DRY_RUN, Mode.LIVE)
    }
    return Digests(dry_run=both[Mode.DRY_RUN], live=both[Mode.LIVE])
