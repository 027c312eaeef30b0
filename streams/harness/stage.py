"""What a stage and an effector are: plain functions and data; the harness does the rest.

No stage sees Faust, Kafka or a clock. `apply` is a pure fold: the same state, record and `now` give the same new state and the
same outputs, live and in a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State")

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


@dataclass(frozen=True, slots=True)
class Stage(Generic[State]):
    """A fold over one topic, a state a partition.

    `apply` may change `state` in place and returns what it emits; it raises `Poison` for a record that never will be readable,
    *before* it changes anything. `restore(None)` is the empty state; `restore(snapshot(s))` equals `s`.
    """

    name: str  # consumer group, snapshots and metrics are named airra-<name>
    topic: str
    restore: Callable[[bytes | None], State]
    apply: Callable[[State, Record, int], Sequence[Output]]  # (state, record, now in ms)
    snapshot: Callable[[State], bytes]
    tick_every_s: float | None = None  # this stage writes the ticks of its topic (one writer a topic)
