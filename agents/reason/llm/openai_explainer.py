"""The openai SDK as an Explainer."""

from __future__ import annotations

from openai import APIStatusError, AsyncOpenAI, OpenAIError

from agents.reason.llm.answer import Answer, Told, Unanswered, asking, counted

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
        async with asking(self._timeout_s, APIStatusError, OpenAIError):
            response = await self._client.responses.parse(
                model=self.model,
                instructions=instructions,
                input=material,
                text_format=Answer,
                max_output_tokens=MAX_TOKENS,
                store=False,
            )
        if response.output_parsed is None:
            raise Unanswered(f"no_answer_{response.status}")
        return Told(response.output_parsed, counted(response.usage, "input_tokens"), counted(response.usage, "output_tokens"))
