"""The LLM effector: proposals in, explanations out, on the approvals log; one each, whatever the provider does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from prometheus_client import Counter

from agents.reason.llm.answer import Explainer, Told, Unanswered, acting_goes_on
from agents.reason.llm.material import INSTRUCTIONS, material
from schemas import topics
from schemas.approvals import APPROVAL_EVENTS, Explanation, Proposal
from schemas.base import derive_id
from streams.harness.emit import emit, parse
from streams.harness.stage import Append, Intent, Record

ANSWERS = Counter("airra_llm_answers_total", "Explanations appended", ["provider", "status"])
TOKENS = Counter("airra_llm_tokens_total", "Tokens that providers counted", ["provider", "direction"])
EVICTED = Counter("airra_llm_evictions_total", "Proposals unexplained because too many wait, and explained ones forgotten", ["table"])

PENDING_KEPT = 1_000  # proposals that wait; at two at a time the oldest of more would have expired
ANSWERED_KEPT = 10_000

log = structlog.get_logger()


class LlmEffector:
    """Ask once per proposal that can still be decided; a failure is a record too."""

    name = "llm"
    topic = topics.APPROVALS.name
    concurrency = 2
    armed_start = False

    def __init__(self, explainer: Explainer, clock: Callable[[], int]) -> None:
        self._explainer = explainer
        self._clock = clock  # milliseconds
        self._pending: dict[str, Intent] = {}
        self._answered: dict[str, None] = {}  # a proposal that a crash repeats is not asked about again

    def fold(self, record: Record) -> None:
        match parse(APPROVAL_EVENTS, record):
            case Proposal() as proposal if proposal.id not in self._answered:
                self._pending.setdefault(proposal.id, Intent(proposal.id, record.offset, proposal))
                self._bound()
            case Explanation() as explanation:
                self._pending.pop(explanation.proposal, None)
                self._answered[explanation.proposal] = None
                if len(self._answered) > ANSWERED_KEPT:
                    del self._answered[next(iter(self._answered))]
                    EVICTED.labels("answered").inc()

    def _bound(self) -> None:
        while len(self._pending) > PENDING_KEPT:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            EVICTED.labels("pending").inc()
            log.warning("llm_unasked", proposal=oldest, reason="too many wait")

    def pending(self) -> Sequence[Intent]:
        return list(self._pending.values())

    async def begin(self, append: Append) -> None:
        """Nothing to prepare."""

    async def end(self) -> None:
        """Nothing was opened."""

    async def perform(self, intent: Intent, append: Append) -> None:
        proposal = intent.value
        assert isinstance(proposal, Proposal)  # noqa: S101 - fold stores nothing else
        record = await self._ask(proposal)
        ANSWERS.labels(self._explainer.provider, record.status).inc()
        log.info("llm_answered", incident=proposal.incident, proposal=proposal.id, status=record.status, error=record.error)
        await append([emit(topics.APPROVALS, proposal.id, record)])

    async def _ask(self, proposal: Proposal) -> Explanation:
        if self._clock() >= proposal.expires_at:
            return self._failed(proposal, "expired")
        try:
            with acting_goes_on():
                told = await self._explainer.explain(INSTRUCTIONS, material(proposal))
                return self._explained(proposal, told)
        except Unanswered as error:
            return self._failed(proposal, str(error))

    def _explained(self, proposal: Proposal, told: Told) -> Explanation:
        TOKENS.labels(self._explainer.provider, "input").inc(told.input_tokens)
        TOKENS.labels(self._explainer.provider, "output").inc(told.output_tokens)
        if sorted(told.answer.order) != list(range(len(proposal.candidates))):
            raise Unanswered("order_is_not_of_the_candidates")
        first = proposal.candidates[told.answer.order[0]]
        return Explanation(
            id=derive_id("exp", proposal.id),
            proposal=proposal.id,
            provider=self._explainer.provider,
            model=self._explainer.model,
            status="ok",
            text=told.answer.explanation[:4000],
            order=tuple(told.answer.order),
            agrees=first.spec == proposal.chosen.spec if proposal.chosen else None,  # an abstention leaves nothing to agree with
            missing_evidence=tuple(item[:300] for item in told.answer.missing_evidence[:10]),
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            at=self._clock(),
        )

    def _failed(self, proposal: Proposal, reason: str) -> Explanation:
        return Explanation(
            id=derive_id("exp", proposal.id),
            proposal=proposal.id,
            provider=self._explainer.provider,
            model=self._explainer.model,
            status="failed",
            error=reason,
            at=self._clock(),
        )
