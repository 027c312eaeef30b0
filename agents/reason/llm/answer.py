"""What an LLM may answer, and the port that the two SDKs fill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


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
    """No usable answer; the reason is one of a few words and never holds a key or a prompt."""


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


class Explainer(Protocol):
    """One provider's SDK."""

    provider: str
    model: str

    async def explain(self, instructions: str, material: str) -> Told:
        """Ask once, within the time-out; raise Unanswered."""
