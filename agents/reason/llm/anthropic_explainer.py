"""The anthropic SDK as an Explainer."""

from __future__ import annotations

from anthropic import AnthropicError, APIStatusError, AsyncAnthropic

from agents.reason.llm.answer import Answer, Told, Unanswered, asking, counted

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
        async with asking(self._timeout_s, APIStatusError, AnthropicError):
            message = await self._client.messages.parse(
                model=self.model,
                max_tokens=MAX_TOKENS,
                system=instructions,
                messages=[{"role": "user", "content": material}],
                output_format=Answer,
            )
        if message.parsed_output is None:
            raise Unanswered(f"no_answer_{message.stop_reason}")
        return Told(message.parsed_output, counted(message.usage, "input_tokens"), counted(message.usage, "output_tokens"))
