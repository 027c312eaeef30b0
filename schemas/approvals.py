"""airra.approvals.v1: proposals, commands, decisions, arming: one log, the first valid record wins."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from schemas.actions import ActionSpec, Finished, Preconditions, Refused, Started
from schemas.base import Frozen, Millis, Position
from schemas.kinds import Cause, Criticality, Mode, Severity
from schemas.signals import Tick

# Who decides where no person does. No person may be called so: a decision's subject tells who answers for it.
CLOCK = "clock"
POLICY = "policy"
OWN_NAMES = frozenset({CLOCK, POLICY})


def is_own_name(subject: str) -> bool:
    """Tell whether a name is one that AIRRA decides under, however it is spelt."""
    return subject.strip().casefold() in OWN_NAMES


class ConfidenceParts(Frozen):
    """heritage.md's formula, term by term; `total` is clamped to [.01, .99]."""

    base: float
    evidence: float
    anomaly: float
    topology: float
    pattern: float
    total: float


class Hypothesis(Frozen):
    rank: int  # 1 is best
    service: str
    cause: Cause
    score: float  # what the ranking sorted by
    confidence: float
    parts: ConfidenceParts
    runbook: str | None
    reasons: tuple[str, ...]  # one sentence each, for the operator
    series: tuple[str, ...]  # the evidence: series ids in the incident's table
    changes: tuple[str, ...] = ()  # ids of changes that count as evidence


class BlastLevel(StrEnum):
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Candidate(Frozen):
    """An applicable action with what it risks and promises."""

    spec: ActionSpec
    hypothesis: int  # rank of the hypothesis it would cure; 0 for "do nothing"
    cures: bool
    risk: float
    blast_radius: float
    blast_level: BlastLevel
    urgency: float  # 1.0 to 5.0
    expected_effect: str
    reversible: bool
    undo: ActionSpec | None = None
    preconditions: Preconditions = Preconditions()


class ProposalReason(StrEnum):
    CURE_FOUND = "cure_found"
    LOW_CONFIDENCE = "low_confidence"
    NO_RUNBOOK = "no_runbook"
    NO_HYPOTHESIS = "no_hypothesis"
    UNSETTLED = "unsettled"  # the picture keeps changing, or nothing came of what was proposed: no more is


class Digests(Frozen):
    dry_run: str
    live: str


class Proposal(Frozen):
    """What to do about an incident, or (chosen None) that AIRRA abstains and a human must look."""

    type: Literal["proposal"] = "proposal"
    id: str  # derive_id("prp", incident, incident_version)
    incident: str
    incident_version: int
    title: str
    reason: ProposalReason
    hypotheses: tuple[Hypothesis, ...]
    candidates: tuple[Candidate, ...]  # best first; "do nothing" among them
    chosen: Candidate | None
    confidence: float | None  # of the hypothesis acted on
    criticality: Criticality = Criticality.MEDIUM
    severity: Severity = Severity.WARNING  # of the incident: for whoever is told
    digests: Digests | None
    runbooks_digest: str
    at: Millis
    expires_at: Millis
    source: Position  # the incident record


class CommandVerb(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Command(Frozen):
    """A person's word, appended by the API; whether it counts is decided by the fold."""

    type: Literal["command"] = "command"
    id: str  # derive_id("cmd", proposal, subject, verb, request id)
    proposal: str
    verb: CommandVerb
    mode: Mode = Mode.DRY_RUN
    digest: str | None = None  # an approval names one
    subject: str
    role: str = "operator"
    reason: str = ""
    at: Millis
    key_id: str | None = None  # signatures come with the security work; their place is kept
    signature: str | None = None


class DecisionOutcome(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"  # there is nothing left to decide: the incident is over, or another action was started
    FORBIDDEN = "forbidden"


class Decision(Frozen):
    type: Literal["decision"] = "decision"
    id: str  # derive_id("dec", proposal)
    proposal: str
    incident: str
    outcome: DecisionOutcome
    mode: Mode
    digest: str | None
    subject: str  # a person, "policy" or "clock"
    reason: str = ""
    at: Millis
    source: Position | None = None  # the command that decided


class Arming(Frozen):
    """Positive and renewed: acting needs one that is in force, on this very cluster."""

    type: Literal["arming"] = "arming"
    id: str
    armed: bool
    by: str
    at: Millis
    until: Millis
    cluster: str


class WithdrawalReason(StrEnum):
    RESOLVED = "resolved"
    ACTING = "acting"  # another proposal's action was started


class Withdrawal(Frozen):
    """reason's word that it proposes nothing more for an incident: what is undecided need not be decided."""

    type: Literal["withdrawal"] = "withdrawal"
    id: str  # derive_id("wdr", incident)
    incident: str
    reason: WithdrawalReason
    at: Millis
    source: Position  # the incident record, or the start, that ended it


class PolicyInForce(Frozen):
    """approve's word on which policy holds from here on: every reader rules by the newest on the log, never by its own file."""

    type: Literal["policy"] = "policy"
    id: str  # derive_id("pol", digest, offset of the record that found another in force)
    digest: str
    content: dict[str, Any]  # schemas.config.policy.Policy; what a reader does not understand forbids everything
    at: Millis


class UndoRequest(Frozen):
    """verify's word that an action made things worse; the undo was part of what was approved."""

    type: Literal["undo_request"] = "undo_request"
    id: str
    action: str
    proposal: str
    incident: str
    reason: str
    at: Millis


class Explanation(Frozen):
    """The LLM's later word on a proposal: explains and orders the same candidates; changes nothing."""

    type: Literal["explanation"] = "explanation"
    id: str  # derive_id("exp", proposal)
    proposal: str
    provider: str
    model: str
    status: Literal["ok", "failed"]
    text: str = ""
    order: tuple[int, ...] = ()  # indices into proposal.candidates
    agrees: bool | None = None
    missing_evidence: tuple[str, ...] = ()
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    at: Millis


ApprovalEvent = Annotated[
    Proposal | Command | Decision | Withdrawal | PolicyInForce | Arming | UndoRequest | Explanation | Started | Finished | Refused | Tick,
    Field(discriminator="type"),
]
APPROVAL_EVENTS: TypeAdapter[ApprovalEvent] = TypeAdapter(ApprovalEvent)
