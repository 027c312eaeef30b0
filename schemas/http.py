"""What crosses the HTTP boundary of the API: request bodies (an unknown field is an error) and replies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from schemas.actions import ActionSpec
from schemas.approvals import Decision, DecisionOutcome, Explanation, Proposal
from schemas.base import Frozen, Millis, Strict
from schemas.incidents import Feedback, Incident
from schemas.kinds import Cause, Mode, Severity
from schemas.outcomes import Outcome

TEXT = 2_000  # characters of free text that a person may write
DIGEST = r"^[0-9a-f]{64}$"


class ApproveBody(Strict):
    approved_by: str = Field(
        min_length=1, max_length=200, description="never identity: it equals the token's subject or the call is refused"
    )
    execution_mode: Mode = Field(description="dry_run and live are different digests; an approval names one")
    digest: str | None = Field(None, pattern=DIGEST, description="what was seen; absent: that of the mode in the proposal of the address")
    reason: str = Field("", max_length=TEXT)


class RejectBody(Strict):
    reason: str = Field(min_length=1, max_length=TEXT)
    rejected_by: str | None = Field(None, max_length=200, description="if given, it equals the token's subject")


class FeedbackBody(Strict):
    confirmed_service: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None
    confirmed_cause: Cause | None = None
    note: str = Field("", max_length=TEXT)

    @model_validator(mode="after")
    def _says_something(self) -> FeedbackBody:
        if not (self.confirmed_service or self.confirmed_cause or self.note.strip()):
            raise ValueError("give confirmed_service, confirmed_cause or note")
        return self


class IncidentStatus(StrEnum):
    OPEN = "open"
    PENDING_APPROVAL = "pending_approval"
    ACTING = "acting"  # approved, granted or started
    VERIFYING = "verifying"  # done, not yet judged
    RESOLVED = "resolved"


class ProposalStatus(StrEnum):
    PENDING = "pending"
    ABSTAINED = "abstained"  # nothing to approve: a person must look
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    FORBIDDEN = "forbidden"


class ActionStatus(StrEnum):
    APPROVED = "approved"  # the decision stands, the grant does not yet
    GRANTED = "granted"
    STARTED = "started"
    REFUSED = "refused"  # by the last check before acting
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  # could not be looked up: a human must


class ActionView(Frozen):
    id: str
    proposal: str
    incident: str
    incident_status: IncidentStatus | None = None
    mode: Mode
    spec: ActionSpec
    undo_of: str | None = None
    status: ActionStatus
    detail: str = ""
    granted_at: Millis | None = None
    started_at: Millis | None = None
    ended_at: Millis | None = None
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] = Field(default_factory=dict)
    outcome: Outcome | None = None


class ProposalView(Frozen):
    """A proposal with what came of it; the explanation stands beside it and changes nothing."""

    status: ProposalStatus
    proposal: Proposal
    decision: Decision | None = None
    actions: tuple[ActionView, ...] = ()
    explanation: Explanation | None = None


class IncidentSummary(Frozen):
    id: str
    status: IncidentStatus
    title: str
    severity: Severity
    services: tuple[str, ...]
    version: int
    opened_at: Millis
    updated_at: Millis
    pending: tuple[str, ...] = ()  # proposals waiting for a person


class IncidentPage(Frozen):
    items: tuple[IncidentSummary, ...]
    next: str | None = None  # pass as ?after=; None on the last page


class IncidentDetail(Frozen):
    summary: IncidentSummary
    incident: Incident
    proposals: tuple[ProposalView, ...]  # newest first
    feedback: tuple[Feedback, ...] = ()


class PendingPage(Frozen):
    items: tuple[ProposalView, ...]  # the next to expire first


class DecisionReply(Frozen):
    """The decision that the log holds, and where to look for what comes of it."""

    decision: Decision
    action: str | None = None  # id to follow under /api/v1/actions, None after a rejection


class FeedbackReply(Frozen):
    feedback: Feedback


class ArmingReply(Frozen):
    armed: bool
    by: str | None = None
    until: Millis | None = None
    cluster: str


class Problem(Frozen):
    """Every error: what it is, what exactly, and what the caller can do."""

    error: str
    detail: str
    what_to_do: str
    decided_by: str | None = None
    decided_at: Millis | None = None
    outcome: DecisionOutcome | None = None
    command: str | None = None  # id of a recorded command whose effect is not known yet
    newer: str | None = None  # the proposal that took this one's place
