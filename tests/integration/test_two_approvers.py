"""Two approvers at once, 100 times, on a broker, through two API processes' worth of read models: one decision, the other is told."""

import asyncio

import httpx2

from models.approvals import ApprovalBook, fold
from schemas import topics
from schemas.approvals import APPROVAL_EVENTS, Command
from streams.harness.emit import emit, parse, position
from streams.harness.producer import KafkaAppender
from streams.harness.view import LogView
from tests.api_serving import now, own_kafka, serving  # noqa: F401 - own_kafka is a fixture
from tests.api_world import ALICE, BOB, approval, proposal

TIMES = 100


async def test_one_decision_each_and_the_other_is_told(own_kafka):  # noqa: F811
    async with serving(own_kafka) as first, serving(own_kafka) as second:
        appender = await KafkaAppender(own_kafka).start()
        try:
            at = now()
            proposals = [proposal(f"prp-{turn}", f"inc-{turn}", at=at, expires_at=at + 600_000) for turn in range(TIMES)]
            await appender([emit(topics.APPROVALS, one.id, one) for one in proposals])
            async with (
                httpx2.AsyncClient(base_url=first.server.url, headers={"Authorization": f"Bearer {ALICE}"}, timeout=20) as alice,
                httpx2.AsyncClient(base_url=second.server.url, headers={"Authorization": f"Bearer {BOB}"}, timeout=20) as bob,
            ):
                decided = {}
                for one in proposals:
                    path = f"/api/v1/approvals/{one.id}/approve"
                    answers = await asyncio.gather(
                        alice.post(path, json=approval("alice", "live")), bob.post(path, json=approval("bob", "dry_run"))
                    )
                    assert sorted(answer.status_code for answer in answers) == [200, 409], [answer.text for answer in answers]
                    won, lost = sorted((answer for answer in answers), key=lambda answer: answer.status_code)
                    decision = won.json()["decision"]
                    told = lost.json()
                    assert (told["error"], told["decided_by"], told["decided_at"], told["outcome"]) == (
                        "already_decided",
                        decision["subject"],
                        decision["at"],
                        "approved",
                    )
                    decided[one.id] = decision
            # A third reader that only folds the log comes to the same decisions.
            book, found, commands = ApprovalBook(), {}, 0

            def take(record):
                nonlocal commands
                event = parse(APPROVAL_EVENTS, record)
                commands += isinstance(event, Command)
                for decision in fold(book, event, record.timestamp, position(record)):
                    found[decision.proposal] = decision.model_dump(mode="json")

            view = LogView(own_kafka, topics.APPROVALS.name, take)
            await view.start()
            await view.barrier(20)
            await view.stop()
            assert found == decided
            assert len(found) == TIMES
            assert commands > TIMES, "in some rounds both commands stand on the log"
        finally:
            await appender.stop()
