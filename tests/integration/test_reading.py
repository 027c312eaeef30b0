"""A log read from a command ends where the broker holds its last record, also where the broker, asked for that, names an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from cli.conserve.logs import Bounds, LiveLogs
from cli.reading import read
from streams.harness.kafka import KafkaSettings


@pytest.mark.parametrize("broker", ["embedded", "kafka"])
def test_the_newest_batch_is_read_whole(broker: str, request: pytest.FixtureRequest, topics: Callable[[str], Any]) -> None:
    found: Any = request.getfixturevalue(broker)
    kafka = KafkaSettings(found.bootstrap)
    topic = topics(found.bootstrap).unique("reading")
    assert (list(read(kafka, topic)), LiveLogs(kafka).bounds(topic)) == ([], {0: Bounds(0, 0)})
    producer = Producer({**kafka.confluent(), "linger.ms": 1000})  # until it is flushed: one batch
    for batch in ([b"0"], [b"1", b"2", b"3", b"4", b"5"]):
        for value in batch:
            producer.produce(topic, value)
        assert producer.flush(20) == 0

    assert [record.value for record in read(kafka, topic)] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert [record.value for record in read(kafka, topic, newest=2)] == [b"4", b"5"]
    assert LiveLogs(kafka).bounds(topic) == {0: Bounds(0, 6)}
