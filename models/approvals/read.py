"""Ask an approval book."""

from __future__ import annotations

from models.approvals.case import ApprovalBook, Case, CommandVerdict
from schemas.approvals import Arming, Decision
from schemas.base import Millis


def pending(book: ApprovalBook) -> list[Case]:
    """Return the undecided proposals, in log order; each case holds the whole proposal."""
    return [book.cases[proposal] for proposal in book.open.values()]


def case_of(book: ApprovalBook, proposal: str) -> Case | None:
    return book.cases.get(proposal)


def decision_of(book: ApprovalBook, proposal: str) -> Decision | None:
    case = book.cases.get(proposal)
    return case.decision if case else None


def verdict_on(book: ApprovalBook, command: str) -> CommandVerdict | None:
    """Return what became of this command; None: not folded yet."""
    return book.verdicts.get(command)


def armed(book: ApprovalBook, cluster: str, now: Millis) -> Arming | None:
    """Return the arming in force on this cluster, or None: absent, taken back, over, or of another cluster."""
    arming = book.arming.get(cluster)
    return arming if arming is not None and arming.armed and now <= arming.until else None
