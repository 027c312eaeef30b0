"""What a topic would refuse is refused before it is sent, and an append has happened only once it is acknowledged."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RequestTimedOutError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.base import Position
from streams.harness.errors import Fatal, Retryable
from streams.harness.producer import KafkaAppender
from streams.harness.stage import Output
from tests.unit.harness_parts import NOWHERE, turns


class Producer:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.batches: list[tuple[int, int]] = []  # partition, number of records
        self.partitions = {0}

    async def send(self, topic: str, **_: Any) -> asyncio.Future[Any]:
        self.sent.append(topic)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    async def partitions_for(self, topic: str) -> set[int]:
        return self.partitions

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1000, 0, is_transactional=False, key_serializer=None, value_serializer=None)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.batches.append((partition, batch.record_count()))
        return await self.send(topic)


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


async def test_what_goes_to_one_place_goes_in_batches_with_one_acknowledgement_each(appender: Any) -> None:
    sent = await appender.send_together([Output("log", None, b"x" * 100)] * 20)
    assert sent == appender._producer.futures
    assert len(sent) > 1
    assert {partition for partition, _ in appender._producer.batches} == {0}
    assert sum(count for _, count in appender._producer.batches) == 20


async def test_a_partition_that_is_named_is_the_one_of_the_batch(appender: Any) -> None:
    appender._producer.partitions = {0, 1, 2}
    await appender.send_together([Output("log", None, b"x", partition=2)] * 3)
    assert appender._producer.batches == [(2, 3)]


async def test_where_keys_choose_the_partition_each_record_goes_by_itself(appender: Any) -> None:
    appender._producer.partitions = {0, 1}
    assert len(await appender.send_together([Output("log", b"k", b"x")] * 3)) == 3
    assert appender._producer.batches == []


async def test_of_several_none_is_sent_where_one_is_above_the_limit(appender: Any) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await appender.send_together([Output("log", None, b"x"), Output("log", None, b"x" * 501)])
    assert appender._producer.sent == []
