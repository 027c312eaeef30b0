"""The real API server on a broker, for tests."""

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from api.server import ApiServer
from schemas import topics
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.harness.topics import create_topics
from tests.api_world import TOKENS

CONTROL = (topics.APPROVALS, topics.INCIDENTS, topics.ACTIONS, topics.OUTCOMES)


@pytest.fixture
def own_kafka(request, real_kafka):
    """A broker of this test alone, with the control topics: Apache Kafka where it can run, else the embedded one."""
    broker = request.getfixturevalue("fresh_kafka" if real_kafka else "fresh_embedded")
    kafka = KafkaSettings(broker.bootstrap)
    create_topics(kafka, CONTROL)
    return kafka


@dataclass
class Serving:
    server: ApiServer
    readiness: Readiness
    stop: asyncio.Event
    task: asyncio.Task


def now():
    return int(time.time() * 1000)


@asynccontextmanager
async def serving(kafka, tokens=TOKENS, port=0, **more):
    """Run the server until the block ends; it is ready when the block begins."""
    readiness = Readiness()
    server = ApiServer(kafka, host="127.0.0.1", port=port, tokens=tokens, secret=os.urandom(32), readiness=readiness, clock=now, **more)
    stop = asyncio.Event()
    task = asyncio.create_task(server.run(stop))
    try:
        async with httpx2.AsyncClient(base_url=server.url) as client, asyncio.timeout(60):
            while True:
                if task.done():
                    await task
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.05)
        yield Serving(server, readiness, stop, task)
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task
