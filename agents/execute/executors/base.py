"""The port that execute acts through."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from schemas.actions import ActionSpec
from streams.harness.errors import Retryable


class Unreachable(Retryable):
    """No answer that says what is the case: of a call that acts, its effect may or may not have happened."""


class Status(StrEnum):
    DONE = "done"
    NOT_DONE = "not_done"  # definite: the target never took it, so it may be sent again under the same key
    IN_PROGRESS = "in_progress"
    FAILED = "failed"  # definite: it ended without its effect, or was refused
    FENCED = "fenced"  # the target has seen a higher fencing token


@dataclass(frozen=True, slots=True)
class Answer:
    status: Status
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """The target as it is now; `known` is false where there is none of that name."""

    known: bool
    facts: dict[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """Bounded in time; raises Unreachable, and nothing else that is expected."""

    async def describe(self, service: str) -> Description | None:
        """Return the target as it is; None: there is nobody to ask (a dry run without an executor)."""

    async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
        """Do it at most once for this action id, fenced by the token."""

    async def look_up(self, action: str, token: int) -> Answer:
        """Return what became of this action id."""
