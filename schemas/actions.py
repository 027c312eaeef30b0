"""airra.actions.v1: grants, and what execute did with them. Started and finished are copied to incidents and approvals."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Frozen, Millis
from schemas.kinds import ActionName, Cause, Mode


class ActionSpec(Frozen):
    """What is done to whom: the part that a digest binds."""

    action: ActionName
    service: str
    params: dict[str, Any] = Field(default_factory=dict)  # {"workers": 8}, {"flag": …, "enabled": false}, {"to": "v1"}


class Preconditions(Frozen):
    """The target as it was when the proposal was made, or for an undo: as its action left it. Execute compares just before acting."""

    workers: int | None = None
    release: str | None = None
    flags: dict[str, bool] = Field(default_factory=dict)  # by name; only those that the action moves


class Grant(Frozen):
    """admit's intent: this may be done once, until `lease_until`."""

    type: Literal["grant"] = "grant"
    id: str  # the action id and idempotency key: derive_id("act", proposal, digest) (+ "undo")
    proposal: str
    incident: str
    decision: str
    digest: str
    mode: Mode
    spec: ActionSpec
    preconditions: Preconditions
    undo_of: str | None = None  # the action that this one takes back
    undo: ActionSpec | None = None  # the approved way back, if there is one
    cause: Cause | None = None  # of the hypothesis acted on, with its service and confidence: what verification answers for
    hypothesis_service: str | None = None
    confidence: float | None = None
    lease_until: Millis
    at: Millis


class Epoch(Frozen):
    """A new owner of the executor; its offset is the fencing token, and older owners' records no longer count."""

    type: Literal["epoch"] = "epoch"
    id: str
    owner: str
    at: Millis


class Seen(Frozen):
    """What the last check before acting saw; a replay reads it instead of looking again."""

    incident_version: int | None = None
    evidence_at: Millis | None = None
    approvals_end: int | None = None
    incidents_end: int | None = None
    decision: str | None = None
    arming: str | None = None
    target: dict[str, Any] = Field(default_factory=dict)


class Started(Frozen):
    """Write-ahead: acknowledged before anything is sent to the target."""

    type: Literal["started"] = "started"
    id: str
    action: str
    proposal: str
    incident: str
    mode: Mode
    spec: ActionSpec
    undo_of: str | None = None
    undo: ActionSpec | None = None
    cause: Cause | None = None
    hypothesis_service: str | None = None
    confidence: float | None = None
    epoch: int  # the fencing token
    seen: Seen
    at: Millis


class RefusalReason(StrEnum):
    NOT_ARMED = "not_armed"
    LIVE_DISABLED = "live_disabled"
    INCIDENT_CLOSED = "incident_closed"
    EVIDENCE_STALE = "evidence_stale"
    TARGET_CHANGED = "target_changed"
    NOT_APPROVED = "not_approved"
    EXPIRED = "expired"
    LEASE_EXPIRED = "lease_expired"
    UNKNOWN_ACTION = "unknown_action"
    NO_EXECUTOR = "no_executor"
    VIEW_UNREADABLE = "view_unreadable"
    CLOCK_SKEW = "clock_skew"
    TARGET_UNREADABLE = "target_unreadable"
    LEASE_HELD = "lease_held"  # admit: another action holds the target, and the wait is over
    BUDGET_EXHAUSTED = "budget_exhausted"  # admit: enough was done in this hour


class Refused(Frozen):
    type: Literal["refused"] = "refused"
    id: str
    action: str
    proposal: str
    incident: str
    mode: Mode
    spec: ActionSpec
    reason: RefusalReason
    detail: str = ""
    undo_of: str | None = None
    epoch: int | None = None  # None: admit's
    seen: Seen
    at: Millis


class FinishStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  # could not be looked up: a human must; the lease stays on that target


class Finished(Frozen):
    type: Literal["finished"] = "finished"
    id: str
    action: str
    proposal: str
    incident: str
    mode: Mode
    spec: ActionSpec
    undo_of: str | None = None
    status: FinishStatus
    epoch: int | None = None
    looked_up: bool = False  # learned by looking up after a restart, not from the call itself
    detail: str = ""
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] = Field(default_factory=dict)
    at: Millis


ActionEvent = Annotated[Grant | Epoch | Started | Refused | Finished, Field(discriminator="type")]
ACTION_EVENTS: TypeAdapter[ActionEvent] = TypeAdapter(ActionEvent)
