"""What the approvals log says so far: cases, verdicts on commands, policy, arming; bounded, and JSON when snapshotted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from pydantic import TypeAdapter

from models.evicted import ByTable, count
from schemas.approvals import Arming, Decision, DecisionOutcome, Proposal, UndoRequest
from schemas.base import Millis
from schemas.config.policy import Policy, Ruling
from schemas.kinds import Mode

MAX_CASES = 500  # the undecided stay, the first decided go first; a decided case is some 2 kB
MAX_PENDING = 250  # beyond it the oldest proposal expires at once; half of the cases, so that what was just decided stays a while
MAX_FORGOTTEN = 5_000  # ids of cases dropped at their cap: a repeat must not be decided anew; some 50 bytes each
MAX_OVER = 1_000  # incidents that nothing more is decided for
MAX_COMMANDS = 5_000
MAX_ARMINGS = 256
MAX_CLUSTERS = 16
MAX_UNDOS = 1_000
MAX_POLICIES = 256

Value = TypeVar("Value")


class CommandFate(StrEnum):
    WON = "won"
    LOST = "lost"  # decided before: `subject`, `outcome` and `at` say by whom, how and when
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    FORBIDDEN = "forbidden"
    UNKNOWN_PROPOSAL = "unknown_proposal"
    NO_ACTION = "no_action"  # the proposal abstains: there is nothing to decide
    WRONG_DIGEST = "wrong_digest"  # what was approved is not what is proposed in that mode
    NOT_A_PERSON = "not_a_person"  # signed with a name that AIRRA itself decides under


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
    asked: int | None = None  # offset of the record that left it to a human
    explanation_until: Millis | None = None  # an automatic ruling that waits for the LLM's word
    decision: Decision | None = None
    announced: bool = False


@dataclass(frozen=True, slots=True)
class InForce:
    """The newest policy on the log; before the first one, a human decides everything."""

    digest: str = ""
    policy: Policy = field(default_factory=Policy)


@dataclass(slots=True)
class ApprovalBook:
    """The state of the shared fold. `policy` is admit's own, for leases and the budget: no ruling is made by it."""

    policy: Policy = field(default_factory=Policy)
    in_force: InForce = field(default_factory=InForce)  # that rulings are made by
    policies: dict[str, None] = field(default_factory=dict)  # ids seen: an old record repeated must not come into force again
    cases: dict[str, Case] = field(default_factory=dict)  # by proposal; in log order, the decided in the order of their decisions
    forgotten: dict[str, Millis] = field(default_factory=dict)  # decided and dropped at the cap -> when it expires
    horizon: Millis = 0  # what expires by then may have been decided and forgotten altogether
    open: dict[str, str] = field(default_factory=dict)  # incident -> its undecided proposal
    over: dict[str, None] = field(default_factory=dict)  # incidents whose proposals are withdrawn
    verdicts: dict[str, CommandVerdict] = field(default_factory=dict)  # by command
    arming: dict[str, Arming] = field(default_factory=dict)  # by cluster, the latest in the log
    armings: dict[str, None] = field(default_factory=dict)  # ids seen: an old record repeated must not arm again
    undos: dict[str, UndoRequest] = field(default_factory=dict)  # by action
    offset: int = -1
    newest: Millis = 0  # append time of the newest record
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)


_BOOK: TypeAdapter[ApprovalBook] = TypeAdapter(ApprovalBook)


def snapshot(book: ApprovalBook) -> bytes:
    return _BOOK.dump_json(book, exclude={"policy"}, by_alias=True)


def restore(data: bytes | None) -> ApprovalBook:
    """Return the book of a snapshot; None: an empty one."""
    return _BOOK.validate_json(data) if data else ApprovalBook()


def cap(book: ApprovalBook, name: str, table: dict[str, Value], limit: int) -> None:
    """Drop the oldest entries over the limit, counted."""
    while len(table) > limit:
        del table[next(iter(table))]
        count(book, name)
