"""Fold the approvals log: what is proposed, what was decided by the first valid record, and who lost.

Every reader (approve, admit, execute, the API) folds the same bytes with the same functions, so all agree without asking each other,
whenever they began and whatever their own configuration says. The book's own computed decision is the truth; a Decision record
announces it, and one that contradicts it (a zombie's) has no effect.
"""

from __future__ import annotations

from models.approvals.case import (
    MAX_ARMINGS,
    MAX_CLUSTERS,
    MAX_COMMANDS,
    MAX_UNDOS,
    ApprovalBook,
    CommandFate,
    CommandVerdict,
    cap,
)
from models.approvals.decide import decide, digest_of
from models.approvals.opening import enforce, expire, explain, propose, withdraw
from schemas.approvals import (
    ApprovalEvent,
    Arming,
    Command,
    CommandVerb,
    Decision,
    DecisionOutcome,
    Explanation,
    PolicyInForce,
    Proposal,
    UndoRequest,
    Withdrawal,
    is_own_name,
)
from schemas.base import Millis, Position


def fold(book: ApprovalBook, event: ApprovalEvent, now: Millis, position: Position) -> list[Decision]:
    """Fold one record in place and return what it decided (each to be announced by approve).

    `now` is the record's append time in ms. A record at or below the last offset changes nothing.
    """
    if position.offset <= book.offset:
        return []
    book.offset = position.offset
    book.newest = max(book.newest, now)
    decided = expire(book, now, position)
    match event:
        case Proposal():
            decided += propose(book, event, now, position)
        case Command():
            decided += _command(book, event, now, position)
        case Explanation():
            decided += explain(book, event, now, position)
        case Withdrawal():
            decided += withdraw(book, event, now, position)
        case PolicyInForce():
            decided += enforce(book, event, now, position)
        case Decision():
            _announce(book, event)
        case Arming():
            _arm(book, event)
        case UndoRequest():
            book.undos.setdefault(event.action, event)
            cap(book, "undos", book.undos, MAX_UNDOS)
        case _:
            pass
    return decided


def _command(book: ApprovalBook, command: Command, now: Millis, position: Position) -> list[Decision]:
    if command.id in book.verdicts:
        return []
    decided: list[Decision] = []
    verdict = _invalid(book, command)
    if verdict is None:
        outcome = DecisionOutcome.REJECTED if command.verb is CommandVerb.REJECT else DecisionOutcome.APPROVED
        case, by = book.cases[command.proposal], command.subject
        decided = [decide(book, case, now, position, outcome, subject=by, mode=command.mode, reason=command.reason)]
        verdict = CommandVerdict(CommandFate.WON, command.proposal, command.subject, outcome, now)
    book.verdicts[command.id] = verdict
    cap(book, "verdicts", book.verdicts, MAX_COMMANDS)
    return decided


def _invalid(book: ApprovalBook, command: Command) -> CommandVerdict | None:
    """Return why a command decides nothing, or None."""
    case = book.cases.get(command.proposal)
    if is_own_name(command.subject):
        return CommandVerdict(CommandFate.NOT_A_PERSON, command.proposal)
    if case is None:
        return CommandVerdict(CommandFate.UNKNOWN_PROPOSAL, command.proposal)
    if case.ruling is None:
        return CommandVerdict(CommandFate.NO_ACTION, command.proposal)
    if case.decision is not None:
        return _lost(case.decision)
    if command.verb is CommandVerb.APPROVE and command.digest != digest_of(case.proposal, command.mode):
        return CommandVerdict(CommandFate.WRONG_DIGEST, command.proposal)
    return None


def _lost(decision: Decision) -> CommandVerdict:
    fate = {
        DecisionOutcome.EXPIRED: CommandFate.EXPIRED,
        DecisionOutcome.SUPERSEDED: CommandFate.SUPERSEDED,
        DecisionOutcome.WITHDRAWN: CommandFate.WITHDRAWN,
        DecisionOutcome.FORBIDDEN: CommandFate.FORBIDDEN,
    }.get(decision.outcome, CommandFate.LOST)
    return CommandVerdict(fate, decision.proposal, decision.subject, decision.outcome, decision.at)


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
    cap(book, "armings", book.armings, MAX_ARMINGS)
    cap(book, "arming", book.arming, MAX_CLUSTERS)
