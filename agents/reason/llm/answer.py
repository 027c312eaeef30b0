"""What an LLM may answer, and the port that the two SDKs fill."""

from __future__ import annotations

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


class Explainer(Protocol):
    """One provider's SDK."""

    provider: str
    model: str

    async def explain(self, instructions: str, material: str) -> Told:
        """Ask once, within the time-out; raise Unanswered."""
