"""The API on a broker: what it appends is acknowledged and folded, what others append is shown, and it ends in order."""

import asyncio
import os
import socket

import httpx2
import pytest

from api.client import ApiClient, ApiError
from api.server import ApiServer
from schemas import topics
from schemas.http import FeedbackBody
from schemas.kinds import Mode
from streams.harness.emit import emit
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import Output
from tests.api_serving import now, own_kafka, serving  # noqa: F401 - own_kafka is a fixture
from tests.api_world import ALICE, incident, proposal


async def test_an_approval_travels_through_the_log_and_survives_a_restart_of_the_api(own_kafka):  # noqa: F811
    appender = await KafkaAppender(own_kafka).start()
    at = now()
    try:
        one = proposal(at=at, expires_at=at + 600_000)
        # An unreadable record on the log must not keep anything that comes after it from being served.
        await appender([Output(topics.APPROVALS.name, b"x", b"\xff not json", partition=0)])
        await appender([emit(topics.INCIDENTS, "inc-1", incident()), emit(topics.APPROVALS, one.id, one)])
        async with serving(own_kafka) as api:

            def act():
                with ApiClient(api.server.url, ALICE) as client:
                    assert client.pending().items[0].proposal == one
                    reply = client.approve(one.id, "alice", Mode.LIVE, key="k1")
                    assert client.execute(reply.action).status == "approved"
                    client.feedback("inc-1", FeedbackBody(note="it is the cache"))
                    return reply

            reply = await asyncio.to_thread(act)
            assert reply.decision.digest == one.digests.live
            assert abs(reply.decision.at - now()) < 60_000, "the time of a decision is the log's"
            # A proposal that is decided on as soon as it is appended, before this API can have heard of it.
            fresh = proposal("prp-2", "inc-2", at=at, expires_at=at + 600_000)
            await appender([emit(topics.APPROVALS, fresh.id, fresh)])
            async with httpx2.AsyncClient(base_url=api.server.url, headers={"Authorization": f"Bearer {ALICE}"}) as client:
                body = {"approved_by": "alice", "execution_mode": "dry_run"}
                assert (await client.post(f"/api/v1/approvals/{fresh.id}/approve", json=body)).status_code == 200
        async with serving(own_kafka) as api:

            def look():
                with ApiClient(api.server.url, ALICE) as client:
                    assert client.pending().items == ()
                    shown = client.incident("inc-1")
                    assert shown.proposals[0].decision == reply.decision
                    assert shown.feedback[0].note == "it is the cache"
                    assert client.approve(one.id, "alice", Mode.LIVE, key="k1").decision == reply.decision, "the same request is the same"
                    with pytest.raises(ApiError) as late:
                        client.reject(one.id, "no")
                    return late.value

            late = await asyncio.to_thread(look)
            assert (late.status, late.problem.decided_by, late.problem.decided_at) == (409, "alice", reply.decision.at)
    finally:
        await appender.stop()


async def test_a_port_in_use_is_a_clear_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Fatal, match="AIRRA_API_PORT"):
            ApiServer(
                KafkaSettings("127.0.0.1:1"),
                host="127.0.0.1",
                port=port,
                tokens={},
                secret=os.urandom(32),
                readiness=Readiness(),
                clock=now,
            )


async def test_the_end_frees_the_port_at_once(own_kafka):  # noqa: F811
    async with serving(own_kafka) as api:
        port = api.server.address[1]
        assert port != 0
    async with serving(own_kafka, port=port) as api:
        assert api.server.address[1] == port
