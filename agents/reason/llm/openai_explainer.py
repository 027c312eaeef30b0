"""The openai SDK as an Explainer."""

from __future__ import annotations

import asyncio

from openai import APIStatusError, AsyncOpenAI, OpenAIError
from pydantic import ValidationError

from agents.reason.llm.answer import Answer, Told, Unanswered

DEFAULT_MODEL = "gpt-5.4-mini"
MAX_TOKENS = 2048  # reasoning models spend some before they answer


class OpenAIExplainer:
    provider = "openai"

    def __init__(self, key: str, model: str, base_url: str, timeout_s: float) -> None:
        self.model = model or DEFAULT_MODEL
        self._timeout_s = timeout_s
        # No retries of the SDK's own: one proposal, one question, one bounded time.
        self._client = AsyncOpenAI(api_key=key, base_url=base_url or None, timeout=timeout_s, max_retries=0)

    async def explain(self, instructions: str, material: str) -> Told:
        try:
            async with asyncio.timeout(self._timeout_s):  # the SDK's own bounds each read, not the whole of a slow answer
                response = await self._client.responses.parse(
                    model=self.model,
                    instructions=instructions,
                    input=material,
                    text_format=Answer,
                    max_output_tokens=MAX_TOKENS,
                    store=False,
                )
        except TimeoutError as error:
            raise Unanswered("timeout") from error
        except APIStatusError as error:
            raise Unanswered(f"status_{error.status_code}") from error
        except OpenAIError as error:
            raise Unanswered(type(error).__name__) from error
        except (ValidationError, ValueError) as error:
            raise Unanswered("not_the_asked_form") from error
        if response.output_parsed is None:
            raise Unanswered(f"no_answer_{response.status}")
        usage = response.usage
        return Told(response.output_parsed, usage.input_tokens if usage else 0, usage.output_tokens if usage else 0)
