"""A schema registry that is away: of all who wait for it one asks each few seconds, and what is known is told meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from streams.harness.errors import Retryable
from streams.normalise.fates import Rejected
from streams.normalise.formats.registry import AWAY_S, Registry
from streams.normalise.held import HOLD_S
from tests.unit.confluent_schemas import GUID
from tests.unit.schema_registry import AVRO_TEXT, Clock, FakeRegistry


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(fake: FakeRegistry, clock: Clock) -> Iterator[Registry]:
    client = Registry(fake.url, clock=clock)
    yield client
    client.close()


def test_of_all_who_ask_a_registry_that_does_not_answer_one_waits_each_few_seconds(fake: FakeRegistry, clock: Clock) -> None:
    fake.tell("/schemas/ids/2", schema=AVRO_TEXT)
    fake.gate.clear()
    registry = Registry(fake.url, clock=clock, timeout_s=0.1)
    with pytest.raises(Retryable, match="ReadTimeout"):
        registry.schema(1)
    clock.now = AWAY_S - 0.5
    for asked in (1, 2, GUID):
        with pytest.raises(Retryable, match=r"could not be reached; it is asked again in 0\.5 s"):
            registry.schema(asked)
    assert fake.asked == ["/schemas/ids/1"]
    clock.now = AWAY_S
    with pytest.raises(Retryable, match="ReadTimeout"):
        registry.schema(2)
    assert fake.asked == ["/schemas/ids/1", "/schemas/ids/2"]
    fake.gate.set()
    clock.now = 2 * AWAY_S
    assert registry.schema(2).text == AVRO_TEXT


def test_a_partition_that_was_held_asks_when_it_is_read_on() -> None:
    assert AWAY_S < HOLD_S


def test_what_is_known_is_told_while_the_registry_is_away(fake: FakeRegistry, registry: Registry, clock: Clock) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    registry.schema(1)
    with pytest.raises(Rejected):
        registry.schema(2)
    fake.__exit__()
    with pytest.raises(Retryable):
        registry.schema(3)
    assert registry.schema(1).text == AVRO_TEXT
    with pytest.raises(Rejected):
        registry.schema(2)


def test_an_answer_about_one_id_keeps_nobody_from_asking_for_another(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", 500, error_code=50001)
    fake.tell("/schemas/ids/3", schema=AVRO_TEXT)
    with pytest.raises(Retryable):
        registry.schema(1)
    with pytest.raises(Rejected):
        registry.schema(2)
    assert registry.schema(3).text == AVRO_TEXT


def test_a_registry_whose_answer_does_not_end_in_time_is_away(clock: Clock) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(200, content=b"{")

    registry = Registry("http://registry", clock=clock, timeout_s=0.0, transport=httpx2.MockTransport(answer))
    with pytest.raises(Retryable, match="answers without end"):
        registry.schema(1)
    with pytest.raises(Retryable, match="could not be reached"):
        registry.schema(2)
    assert asked == ["/schemas/ids/1"]
