"""Fold the approvals log: what is proposed, what was decided by the first valid record, and who lost.

Every reader (approve, admit, execute, the API) folds with the same functions, so all agree without asking each other. The book's
own computed decision is the truth; a Decision record announces it, and one that contradicts it (a zombie's) has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from models.approvals.rules import ruling
from schemas.approvals import ApprovalEvent, Arming, Command, CommandVerb, Decision, DecisionOutcome, Explanation, Proposal, UndoRequest
from schemas.base import Millis, Position, derive_id
from schemas.config.policy import Policy, Ruling
from schemas.kinds import Mode

MAX_CASES = 500  # decided and expired ones are dropped first come, first gone; a case is some 2 kB
MAX_PENDING = 500  # beyond it the oldest proposal expires at once
MAX_COMMANDS = 5_000
MAX_ARMINGS = 256
MAX_CLUSTERS = 16
MAX_UNDOS = 1_000

CLOCK = "clock"
POLICY = "policy"


class CommandFate(StrEnum):
    WON = "won"
    LOST = "lost"  # decided before: `subject`, `outcome` and `at` say by whom, how and when
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FORBIDDEN = "forbidden"
    UNKNOWN_PROPOSAL = "unknown_proposal"
    NO_ACTION = "no_action"  # the proposal abstains: there is nothing to decide
    WRONG_DIGEST = "wrong_digest"  # what was approved is not what is proposed in that mode


@dataclass(frozen=True, slots=True)
class CommandVerdict:
    """What became of a command; for a loser, who decided, how and when (append time)."""

    fate: CommandFate
    proposal: str
    subject: str | None = None
    outcome: DecisionOutcome | None = None
    at: Millis | None = None


@dataclass(slots=True)
class Case:
    """A proposal and what came of it. Once decided, only the hypothesis and the candidate acted on are kept of the proposal."""

    proposal: Proposal
    appended_at: Millis
    ruling: Ruling | None  # None: it abstains
    mode: Mode = Mode.DRY_RUN  # that an automatic ruling approves
    explanation_until: Millis | None = None  # an automatic ruling that waits for the LLM's word
    decision: Decision | None = None
    announced: bool = False


@dataclass(slots=True)
class ApprovalBook:
    policy: Policy = field(default_factory=Policy)
    cases: dict[str, Case] = field(default_factory=dict)  # by proposal, in log order
    open: dict[str, str] = field(default_factory=dict)  # incident -> its undecided proposal
    verdicts: dict[str, CommandVerdict] = field(default_factory=dict)  # by command
    arming: dict[str, Arming] = field(default_factory=dict)  # by cluster, the latest in the log
    armings: dict[str, None] = field(default_factory=dict)  # ids seen: an old record repeated must not arm again
    undos: dict[str, UndoRequest] = field(default_factory=dict)  # by action
    offset: int = -1
    newest: Millis = 0  # append time of the newest record
    evicted: int = 0


_BOOK: TypeAdapter[ApprovalBook] = TypeAdapter(ApprovalBook)


def snapshot(book: ApprovalBook) -> bytes:
    return _BOOK.dump_json(book, exclude={"policy"}, by_alias=True)


def restore(data: bytes | None, policy: Policy) -> ApprovalBook:
    """Return the book of a snapshot under this policy; None: an empty one. What is decided stays decided."""
    book = _BOOK.validate_json(data) if data else ApprovalBook()
    book.policy = policy
    return book


def fold(book: ApprovalBook, event: ApprovalEvent, now: Millis, position: Position) -> list[Decision]:
    """Fold one record in place and return what it decided (each to be announced by approve).

    `now` is the record's append time in ms. A record at or below the last offset changes nothing.
    """
    if position.offset <= book.offset:
        return []
    book.offset = position.offset
    book.newest = max(book.newest, now)
    decided = _expire(book, now, position)
    match event:
        case Proposal():
            decided += _propose(book, event, now, position)
        case Command():
            decided += _command(book, event, now, position)
        case Explanation():
            decided += _explain(book, event, now, position)
        case Decision():
            _announce(book, event)
        case Arming():
            _arm(book, event)
        case UndoRequest():
            book.undos.setdefault(event.action, event)
            _cap(book, book.undos, MAX_UNDOS)
        case _:
            pass
    return decided


def _propose(book: ApprovalBook, proposal: Proposal, now: Millis, position: Position) -> list[Decision]:
    if proposal.id in book.cases:
        return []
    decided = []
    if older := book.cases.get(book.open.get(proposal.incident, "")):
        decided.append(_decide(book, older, DecisionOutcome.SUPERSEDED, CLOCK, now, position, reason=f"by {proposal.id}"))
    case = Case(proposal=proposal, appended_at=now, ruling=None)
    book.cases[proposal.id] = case
    _forget(book, now)
    if proposal.chosen is None or proposal.digests is None:
        return decided
    spec = proposal.chosen.spec
    rule = ruling(book.policy, spec.action, spec.service, proposal.criticality)
    case.ruling, case.mode = rule.decide, rule.mode
    book.open[proposal.incident] = proposal.id
    if case.ruling is Ruling.FORBIDDEN:
        return [*decided, _decide(book, case, DecisionOutcome.FORBIDDEN, POLICY, now, position)]
    if now > proposal.expires_at:
        return [*decided, _decide(book, case, DecisionOutcome.EXPIRED, CLOCK, now, position)]
    if case.ruling is Ruling.AUTOMATIC:
        decided += _automatic(book, case, now, position)
    while len(book.open) > MAX_PENDING:
        book.evicted += 1
        oldest = book.cases[next(iter(book.open.values()))]
        decided.append(_decide(book, oldest, DecisionOutcome.EXPIRED, CLOCK, now, position, reason="too many proposals are open"))
    return decided


def _automatic(book: ApprovalBook, case: Case, now: Millis, position: Position) -> list[Decision]:
    """Approve as policy, or wait for the LLM's word, or (not sure or not fresh enough) leave it to a human."""
    bounds = book.policy.automatic
    confidence = case.proposal.confidence
    sure = confidence is not None and confidence >= bounds.threshold_high
    fresh = now - case.proposal.at <= bounds.evidence_s * 1000
    if not (sure and fresh):
        case.ruling = Ruling.HUMAN
        return []
    if bounds.explanation_wait_s > 0:
        case.explanation_until = now + int(bounds.explanation_wait_s * 1000)
        return []
    return [_approve_by_policy(book, case, now, position)]


def _approve_by_policy(book: ApprovalBook, case: Case, now: Millis, position: Position) -> Decision:
    return _decide(book, case, DecisionOutcome.APPROVED, POLICY, now, position, mode=case.mode)


def _explain(book: ApprovalBook, explanation: Explanation, now: Millis, position: Position) -> list[Decision]:
    """Let the LLM's word end the wait: its disagreement turns automatic into human, and nothing else."""
    case = book.cases.get(explanation.proposal)
    if case is None or case.decision is not None or case.explanation_until is None:
        return []
    case.explanation_until = None
    if explanation.status == "ok" and explanation.agrees is False:
        case.ruling = Ruling.HUMAN
        return []
    return [_approve_by_policy(book, case, now, position)]


def _command(book: ApprovalBook, command: Command, now: Millis, position: Position) -> list[Decision]:
    if command.id in book.verdicts:
        return []
    case = book.cases.get(command.proposal)
    decided: list[Decision] = []
    verdict = CommandVerdict(CommandFate.WON, command.proposal, command.subject, at=now)
    if case is None:
        verdict = CommandVerdict(CommandFate.UNKNOWN_PROPOSAL, command.proposal)
    elif case.ruling is None:
        verdict = CommandVerdict(CommandFate.NO_ACTION, command.proposal)
    elif case.decision is not None:
        verdict = _lost(case.decision)
    elif command.verb is CommandVerb.REJECT:
        decided = [_decide(book, case, DecisionOutcome.REJECTED, command.subject, now, position, mode=command.mode, reason=command.reason)]
    elif command.digest != _digest(case.proposal, command.mode):
        verdict = CommandVerdict(CommandFate.WRONG_DIGEST, command.proposal)
    else:
        decided = [_decide(book, case, DecisionOutcome.APPROVED, command.subject, now, position, mode=command.mode, reason=command.reason)]
    if decided:
        verdict = CommandVerdict(CommandFate.WON, command.proposal, command.subject, decided[0].outcome, now)
    book.verdicts[command.id] = verdict
    _cap(book, book.verdicts, MAX_COMMANDS)
    return decided


def _lost(decision: Decision) -> CommandVerdict:
    fate = {
        DecisionOutcome.EXPIRED: CommandFate.EXPIRED,
        DecisionOutcome.SUPERSEDED: CommandFate.SUPERSEDED,
        DecisionOutcome.FORBIDDEN: CommandFate.FORBIDDEN,
    }.get(decision.outcome, CommandFate.LOST)
    return CommandVerdict(fate, decision.proposal, decision.subject, decision.outcome, decision.at)


def _expire(book: ApprovalBook, now: Millis, position: Position) -> list[Decision]:
    """Decide what this record's append time ends: waits for the LLM, then proposals past their expiry."""
    decided = []
    for proposal in list(book.open.values()):
        case = book.cases[proposal]
        if now > case.proposal.expires_at:
            decided.append(_decide(book, case, DecisionOutcome.EXPIRED, CLOCK, now, position))
        elif case.explanation_until is not None and now > case.explanation_until:
            case.explanation_until = None
            decided.append(_approve_by_policy(book, case, now, position))
    return decided


def _decide(
    book: ApprovalBook,
    case: Case,
    outcome: DecisionOutcome,
    subject: str,
    now: Millis,
    position: Position,
    *,
    mode: Mode = Mode.DRY_RUN,
    reason: str = "",
) -> Decision:
    proposal = case.proposal
    case.decision = Decision(
        id=derive_id("dec", proposal.id),
        proposal=proposal.id,
        incident=proposal.incident,
        outcome=outcome,
        mode=mode,
        digest=_digest(proposal, mode) if outcome is DecisionOutcome.APPROVED else None,
        subject=subject,
        reason=reason,
        at=now,
        source=position,
    )
    case.explanation_until = None
    acted_on = tuple(hypothesis for hypothesis in proposal.hypotheses if proposal.chosen and hypothesis.rank == proposal.chosen.hypothesis)
    case.proposal = proposal.model_copy(update={"hypotheses": acted_on, "candidates": ()})
    if book.open.get(proposal.incident) == proposal.id:
        del book.open[proposal.incident]
    return case.decision


def _digest(proposal: Proposal, mode: Mode) -> str | None:
    if proposal.digests is None:
        return None
    return proposal.digests.live if mode is Mode.LIVE else proposal.digests.dry_run


def _announce(book: ApprovalBook, decision: Decision) -> None:
    case = book.cases.get(decision.proposal)
    if case is not None and case.decision is not None:
        same = ("id", "outcome", "mode", "digest", "subject")
        case.announced = case.announced or all(getattr(case.decision, name) == getattr(decision, name) for name in same)


def _arm(book: ApprovalBook, arming: Arming) -> None:
    if arming.id in book.armings:
        return
    book.armings[arming.id] = None
    book.arming.pop(arming.cluster, None)
    book.arming[arming.cluster] = arming
    _cap(book, book.armings, MAX_ARMINGS)
    _cap(book, book.arming, MAX_CLUSTERS)


def _forget(book: ApprovalBook, now: Millis) -> None:
    """Drop the oldest cases over the cap; a repeated proposal that is gone has expired, so it cannot be decided anew."""
    over = len(book.cases) - MAX_CASES
    if over <= 0:
        return
    gone = [name for name, case in book.cases.items() if name not in book.open.values() and now > case.proposal.expires_at][:over]
    for name in gone:
        del book.cases[name]
        book.evicted += 1


def _cap(book: ApprovalBook, table: dict[str, object] | dict[str, CommandVerdict] | dict[str, Arming], limit: int) -> None:
    while len(table) > limit:
        del table[next(iter(table))]
        book.evicted += 1
