"""What a stage and an effector are: plain functions and data; the harness does the rest.

No stage sees Faust, Kafka or a clock. `apply` is a pure fold: the same state, record and `now` give the same new state and the
same outputs, live and in a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from schemas.base import Position

State = TypeVar("State")

SAVED_EVERY_S = 30.0  # at the latest, a state that is dear to save; another more often (saver.py)

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a log as a fold sees it: where it stands, when it was appended, and its bytes."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # milliseconds; the broker's append time on control topics
    key: bytes | None
    value: bytes
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """Return the last header of this name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


@dataclass(frozen=True, slots=True)
class Output:
    """One record that a fold or an effector wants appended; acknowledged before any state that depends on it."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = ()
    partition: int | None = None


class AnotherLog(StrEnum):
    """What a stage does that finds its topic made anew, or restored from elsewhere: its offsets count in the old log only."""

    STOP = "stop"  # its decisions stand on that very log: a person must say how to go on
    GO_ON = "go_on"  # its state is about what the log tells of, not about the log: it is kept, and the new log read from its beginning


@dataclass(frozen=True, slots=True)
class Stage(Generic[State]):
    """A fold over one topic, a state a partition.

    `apply` may change `state` in place and returns what it emits; it raises `Poison` for a record that never will be readable,
    *before* it changes anything. `restore(None)` is the empty state; `restore(snapshot(s))` equals `s`.

    `capture`, of a stage whose state is large, does what `snapshot` does in two steps: what it returns needs the state no more, and is
    called in a thread of its own while the next records are folded.

    `format` numbers what `snapshot` gives, and `reads` makes that of other formats: of the one before and, a release ahead of its
    first writer, of the next. A snapshot of any other is refused. When to count up: docs/adr/0007-versions.md.
    """

    name: str  # consumer group, snapshots and metrics are named airra-<name>
    topic: str
    restore: Callable[[bytes | None], State]
    apply: Callable[[State, Record, int], Sequence[Output]]  # (state, record, now in ms)
    snapshot: Callable[[State], bytes]
    tick_every_s: float | None = None  # this stage writes the ticks of its topic (one writer a topic)
    format: int = 1
    reads: Mapping[int, Callable[[bytes], bytes]] = field(default_factory=dict)
    another_log: AnotherLog = AnotherLog.STOP
    capture: Callable[[State], Callable[[], bytes]] | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What a fold has written and an effector is to do; its id is the idempotency key."""

    id: str
    offset: int  # of the intent's record: nothing at or above the earliest unfinished one is committed
    value: object


class Append(Protocol):
    """Append records and return their positions once the broker has acknowledged all of them; they keep their order."""

    async def __call__(self, outputs: Sequence[Output]) -> Sequence[Position]: ...


class Effector(Protocol):
    """What touches the world. It reads one topic that holds both intents and results, and appends results to it."""

    name: str  # consumer group airra-<name>
    topic: str
    concurrency: int  # intents performed at once
    armed_start: bool  # true: with no committed offset wait until an operator arms; false: start at the beginning

    def fold(self, record: Record) -> None:
        """Fold one record of the log: an intent, or a result that closes one. Deterministic; raises Poison."""

    def pending(self) -> Sequence[Intent]:
        """Return the intents without a result, in log order."""

    async def begin(self, append: Append) -> None:
        """Prepare, once the log has been folded to its end and before the first intent is performed (execute: its epoch)."""

    async def end(self) -> None:
        """Let go of what `begin` opened, when the process stops in order."""

    async def perform(self, intent: Intent, append: Append) -> None:
        """Perform one intent and append its result; look up first what an earlier run may have begun. Retryable: again later."""
