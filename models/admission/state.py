"""What admit remembers: who holds which target, who waits for it, what was done in the last hour."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from models.approvals import ApprovalBook
from models.evicted import ByTable
from schemas.actions import ActionSpec, Grant, Preconditions
from schemas.base import Millis
from schemas.config.policy import Policy

HOUR_MS = 3_600_000
MAX_KNOWN = 2_000  # actions kept by id: a repeated decision or copy must find what it repeats
MAX_LEASES = 10_000
MAX_WAITING = 1_000


@dataclass(slots=True)
class Wanted:
    """A grant that waits for its target; its times are set when it is given."""

    grant: Grant
    deadline: Millis
    expires_at: Millis | None  # of the proposal; an undo was approved with its action and has none


@dataclass(slots=True)
class Known:
    """An action that was granted, waits or was refused, and what came of it."""

    proposal: str
    incident: str
    live: bool
    spec: ActionSpec
    undone: bool = False  # it is an undo itself: nothing takes it back
    status: str = ""  # "", "refused", "lapsed", or a finish status
    until: Millis | None = None  # it may be started until then; None: not granted
    begun: bool = False
    left: Preconditions | None = None  # the target as its success left it: what its undo must find


@dataclass(slots=True)
class Admission:
    book: ApprovalBook = field(default_factory=ApprovalBook)
    leases: dict[str, str] = field(default_factory=dict)  # service -> the live action that holds it
    waiting: list[Wanted] = field(default_factory=list)
    spent: list[Millis] = field(default_factory=list)  # append times of the last hour's live grants
    known: dict[str, Known] = field(default_factory=dict)
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)


_STATE: TypeAdapter[Admission] = TypeAdapter(Admission)


def snapshot(state: Admission) -> bytes:
    return _STATE.dump_json(state, exclude={"book": {"policy"}}, by_alias=True)


def restore(data: bytes | None, policy: Policy) -> Admission:
    state = _STATE.validate_json(data) if data else Admission()
    state.book.policy = policy
    return state
