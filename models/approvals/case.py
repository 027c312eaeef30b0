"""What the approvals log says so far: cases, verdicts on commands, arming; bounded, and JSON when snapshotted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from pydantic import TypeAdapter

from schemas.approvals import Arming, Decision, DecisionOutcome, Proposal, UndoRequest
from schemas.base import Millis
from schemas.config.policy import Policy, Ruling
from schemas.kinds import Mode

MAX_CASES = 500  # decided and expired ones are dropped first come, first gone; a case is some 2 kB
MAX_PENDING = 500  # beyond it the oldest proposal expires at once
MAX_COMMANDS = 5_000
MAX_ARMINGS = 256
MAX_CLUSTERS = 16
MAX_UNDOS = 1_000

Value = TypeVar("Value")


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


def cap(book: ApprovalBook, table: dict[str, Value], limit: int) -> None:
    """Drop the oldest entries over the limit, counted."""
    while len(table) > limit:
        del table[next(iter(table))]
        book.evicted += 1
