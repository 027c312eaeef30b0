"""The LLM beside the path, on a broker: down, slow or answering garbage, the proposal is the same bytes at the same time."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents import reason
from agents.reason.llm.anthropic_explainer import AnthropicExplainer
from agents.reason.llm.effector import LlmEffector
from agents.reason.llm.openai_explainer import OpenAIExplainer
from cli.config import load
from cli.wiring import now_ms
from schemas import topics
from schemas.approvals import APPROVAL_EVENTS, Explanation, Proposal
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import IncidentPhase
from schemas.kinds import Kind
from streams.harness.emit import emit, parse
from streams.harness.fold import fold, restore
from streams.harness.kafka import KafkaSettings
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.runner import serve
from streams.harness.stage import Record
from streams.harness.topics import create_topics
from streams.harness.view import LogView
from tests.api_serving import own_kafka
from tests.llm_server import LlmServer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))
from incident_world import incident, reading, suspect  # noqa: E402

CATALOGUE = load(RunbookCatalogue, ROOT / "config" / "runbooks.yaml").model_copy(
    update={
        "proposing": load(RunbookCatalogue, ROOT / "config" / "runbooks.yaml").proposing.model_copy(
            update={"settle_s": 1.0, "patience_s": 2.0}
        )
    }
)
SETTLE_MS = int(CATALOGUE.proposing.settle_s * 1000)
PATIENCE_MS = int(CATALOGUE.proposing.patience_s * 1000)
ANSWER_AFTER_S = 5.0  # no provider here answers sooner, whatever it answers
PROPOSED_WITHIN_MS = 4_000  # from the record that decides to the proposal's append: whoever waited for the LLM would be later
LLM_TIMEOUT_S = 30.0
__all__ = ["own_kafka"]  # a fixture


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


def effector(provider: str, url: str, timeout_s: float) -> LlmEffector:
    if provider == "anthropic":
        return LlmEffector(AnthropicExplainer("test-key", "", url, timeout_s), now_ms)
    return LlmEffector(OpenAIExplainer("test-key", "", f"{url}/v1", timeout_s), now_ms)


@asynccontextmanager
async def running(kafka: KafkaSettings, llm: LlmEffector | None, directory: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    effectors = [llm] if llm is not None else []
    task = asyncio.create_task(serve([reason.stage(CATALOGUE)], effectors, [], kafka, "0", directory, Readiness(), stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


class Log:
    """A control log read along."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.records: list[Record] = []
        self._view = LogView(kafka, topic, self.records.append)

    async def start(self) -> "Log":
        await self._view.start()
        return self

    async def until(self, kind: str) -> Record:
        async with asyncio.timeout(60):
            while True:
                found = [r for r in self.records if r.header("airra.type") == kind.encode()]
                if found:
                    return found[0]
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await self._view.barrier(10)
        await self._view.stop()


async def break_something(kafka: KafkaSettings) -> None:
    """A leak, as correlate would tell it: opened, then updated."""
    leak = suspect(reading("inventory", Kind.MEMORY, 200e6, z=12.0))
    appender = await KafkaAppender(kafka).start()
    for version, phase in ((1, IncidentPhase.OPENED), (2, IncidentPhase.UPDATED)):
        told = incident(leak, health=[leak.evidence], version=version, phase=phase)
        await appender([emit(topics.INCIDENTS, told.incident, told)])
    await appender.stop()


def proposals_without_llm(incidents: list[Record]) -> list[bytes]:
    """Fold the recorded incidents log with reason alone."""
    stage = reason.stage(CATALOGUE)
    part = restore(stage, 0, None, incidents[0].offset)
    outputs = [output for record in incidents for output in fold(stage, part, record)]
    return [output.value for output in outputs if output.topic == topics.APPROVALS.name]


def deciding(incidents: list[Record]) -> Record:
    """Return the first record at which reason can decide: by the log alone, so the same one whatever the LLM does."""

    def waited(record: Record) -> int:
        return record.timestamp - incidents[0].timestamp

    return next(record for record in incidents if waited(record) >= (PATIENCE_MS if record.header("airra.type") == b"tick" else SETTLE_MS))


# Every mode, each provider at least twice; tests/unit/test_llm.py has every mode for both.
CASES = [("anthropic", "off"), ("anthropic", "ok"), ("openai", "ok"), ("anthropic", "slow"), ("openai", "garbage"), ("openai", "down")]


@pytest.mark.parametrize(("provider", "mode"), CASES)
async def test_the_proposal_is_the_same_whatever_the_llm_does(
    provider: str, mode: str, server: LlmServer, own_kafka: KafkaSettings, tmp_path: Path
) -> None:
    kafka = own_kafka
    create_topics(kafka, topics.CATALOGUE)
    server.mode, server.delay_s = mode, ANSWER_AFTER_S
    server.answer["order"] = [1, 0]  # it would rather do something else
    url = "http://127.0.0.1:9" if mode == "down" else server.url
    approvals, incidents = await Log(kafka, topics.APPROVALS.name).start(), await Log(kafka, topics.INCIDENTS.name).start()
    llm = None if mode == "off" else effector(provider, url, ANSWER_AFTER_S if mode == "slow" else LLM_TIMEOUT_S)
    async with running(kafka, llm, tmp_path):
        await break_something(kafka)
        proposed = await approvals.until("proposal")
        if mode == "slow":
            # The provider holds its answer back: the proposal stands in the log while it is still being asked.
            await asyncio.to_thread(server.asked.wait, 30)
            assert not any(r.header("airra.type") == b"explanation" for r in approvals.records)
        if mode != "off":
            answered = await approvals.until("explanation")
            explained = parse(APPROVAL_EVENTS, answered)
    await approvals.stop()
    await incidents.stop()

    live = [record.value for record in approvals.records if record.header("airra.type") == b"proposal"]
    assert live == proposals_without_llm(incidents.records)
    proposal = parse(APPROVAL_EVENTS, proposed)
    assert isinstance(proposal, Proposal)
    decided = deciding(incidents.records)
    assert proposal.at == decided.timestamp
    assert 0 <= proposed.timestamp - decided.timestamp <= PROPOSED_WITHIN_MS, "at the same time, whatever the LLM does"
    if mode not in {"off", "down"}:
        assert answered.timestamp - decided.timestamp > PROPOSED_WITHIN_MS, "or the line above would show nothing"
    if mode != "off":
        assert isinstance(explained, Explanation)
        assert explained.proposal == proposal.id
        assert (explained.status, explained.agrees) == (("ok", False) if mode == "ok" else ("failed", None))
