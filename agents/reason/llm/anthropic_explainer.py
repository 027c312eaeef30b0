"""The anthropic SDK as an Explainer."""

from __future__ import annotations

import asyncio

from anthropic import AnthropicError, APIStatusError, AsyncAnthropic
from pydantic import ValidationError

from agents.reason.llm.answer import Answer, Told, Unanswered

DEFAULT_MODEL = "claude-sonnet-5"
MAX_TOKENS = 1024


class AnthropicExplainer:
    provider = "anthropic"

    def __init__(self, key: str, model: str, base_url: str, timeout_s: float) -> None:
        self.model = model or DEFAULT_MODEL
        self._timeout_s = timeout_s
        # No retries of the SDK's own: one proposal, one question, one bounded time.
        self._client = AsyncAnthropic(api_key=key, base_url=base_url or None, timeout=timeout_s, max_retries=0)

    async def explain(self, instructions: str, material: str) -> Told:
        try:
            async with asyncio.timeout(self._timeout_s):  # the SDK's own bounds each read, not the whole of a slow answer
                message = await self._client.messages.parse(
                    model=self.model,
                    max_tokens=MAX_TOKENS,
                    system=instructions,
                    messages=[{"role": "user", "content": material}],
                    output_format=Answer,
                )
        except TimeoutError as error:
            raise Unanswered("timeout") from error
        except APIStatusError as error:
            raise Unanswered(f"status_{error.status_code}") from error
        except AnthropicError as error:
            raise Unanswered(type(error).__name__) from error
        except (ValidationError, ValueError) as error:
            raise Unanswered("not_the_asked_form") from error
        if message.parsed_output is None:
            raise Unanswered(f"no_answer_{message.stop_reason}")
        return Told(message.parsed_output, message.usage.input_tokens, message.usage.output_tokens)
