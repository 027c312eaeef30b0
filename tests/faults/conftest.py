"""A bed of topics with a dead-letter topic, and an appender, on whichever broker can run here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.topics import DLQ
from streams.harness.kafka import KafkaSettings
from streams.harness.producer import KafkaAppender


@pytest.fixture
async def append(any_broker: Any) -> AsyncIterator[KafkaAppender]:
    appender = await KafkaAppender(KafkaSettings(any_broker.bootstrap)).start()
    yield appender
    await appender.stop()


@pytest.fixture
def bed(any_broker: Any, topics: Any) -> Any:
    made = topics(any_broker.bootstrap)
    made.create(DLQ)
    return made
