"""What a topic would refuse is refused before it is sent, and an append has happened only once it is acknowledged."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RequestTimedOutError

from schemas.base import Position
from streams.harness.errors import Fatal, Retryable
from streams.harness.producer import KafkaAppender
from streams.harness.stage import Output
from tests.unit.harness_parts import NOWHERE, turns


class Producer:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.futures: list[asyncio.Future[Any]] = []

    async def send(self, topic: str, **_: Any) -> asyncio.Future[Any]:
        self.sent.append(topic)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


@pytest.fixture
def appender() -> Any:
    made: Any = KafkaAppender(NOWHERE)
    made._producer, made._limits = Producer(), {"log": 500}
    return made


async def test_a_record_above_its_topics_limit_is_never_sent(appender: Any) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await appender.send(Output("log", None, b"x" * 501))
    assert appender._producer.sent == []
    await appender.send(Output("log", None, b"x" * 100))
    assert appender._producer.sent == ["log"]


async def test_an_append_returns_only_with_the_acknowledgement(appender: Any) -> None:
    appending = asyncio.create_task(appender([Output("log", None, b"x")]))
    await turns()
    assert not appending.done()
    appender._producer.futures[0].set_result(SimpleNamespace(topic="log", partition=0, offset=7))
    assert list(await appending) == [Position(topic="log", partition=0, offset=7)]


@pytest.mark.parametrize(("error", "kind"), [(RequestTimedOutError(), Retryable), (KafkaError(), Fatal)])
async def test_an_append_that_is_not_acknowledged_says_so(error: KafkaError, kind: type[Exception], appender: Any) -> None:
    appending = asyncio.create_task(appender([Output("log", None, b"x")]))
    await turns()
    appender._producer.futures[0].set_exception(error)
    with pytest.raises(kind):
        await appending
