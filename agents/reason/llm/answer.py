"""What an LLM may answer, and the port that the two SDKs fill."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field

from streams.harness.errors import Fatal, Retryable

MAX_TOKENS_COUNTED = 1_000_000_000  # above any bill; a larger number is none
REASON_CHARS = 60

log = structlog.get_logger()


class Answer(BaseModel):
    """The answer's form; both SDKs make the provider keep to it."""

    model_config = ConfigDict(extra="forbid")

    explanation: str = Field(description="What is wrong and why the evidence says so, in at most five plain sentences.")
    order: list[int] = Field(description="The numbers of all candidates, the one you would choose first.")
    missing_evidence: list[str] = Field(description="Evidence that would settle the question and is not there; may be empty.")


@dataclass(frozen=True)
class Told:
    """An answer and what it cost."""

    answer: Answer
    input_tokens: int
    output_tokens: int


class Unanswered(Exception):
    """No usable answer; the reason is a word and never holds a key or a prompt, whatever a provider puts in its place."""

    def __init__(self, reason: str) -> None:
        super().__init__(re.sub(r"[^A-Za-z0-9_]+", "_", reason)[:REASON_CHARS])


@asynccontextmanager
async def asking(timeout_s: float, refused: type[Exception], failed: type[Exception]) -> AsyncIterator[None]:
    """Bound one question in time, and turn what an SDK raises (`refused` has a status code) into Unanswered."""
    try:
        async with asyncio.timeout(timeout_s):  # the SDKs' own time-out bounds each read, not the whole of a slow answer
            yield
    except TimeoutError as error:
        raise Unanswered("timeout") from error
    except refused as error:
        raise Unanswered(f"status_{getattr(error, 'status_code', 'unknown')}") from error
    except failed as error:
        raise Unanswered(type(error).__name__) from error
    except ValueError as error:  # pydantic's ValidationError is one
        raise Unanswered("not_the_asked_form") from error


@contextmanager
def acting_goes_on() -> Iterator[None]:
    """Turn any error about an answer into Unanswered: the one place that catches them all. Cancellation passes.

    The SDKs check little of a body that came with a 200: what they and we then stumble over can be any exception, and would end
    the role that also acts, at this proposal again after every restart.
    """
    try:
        yield
    except (Unanswered, Retryable, Fatal):
        raise
    except Exception as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        where = f"{PurePath(frame.f_code.co_filename).name}:{line}"  # no message and no values: they may hold the answer or a key
        log.warning("llm_answer_unusable", kind=type(error).__name__, where=where)
        raise Unanswered(f"unusable_{type(error).__name__}") from error


def counted(usage: Any, name: str) -> int:
    """Return a provider's count of tokens, 0 where it is none: a strange bill does not spoil a good answer."""
    value = getattr(usage, name, 0)
    return value if type(value) is int and 0 <= value <= MAX_TOKENS_COUNTED else 0


class Explainer(Protocol):
    """One provider's SDK."""

    provider: str
    model: str

    async def explain(self, instructions: str, material: str) -> Told:
        """Ask once, within the time-out; raise Unanswered."""
