"""The catalogue on a broker: what is created as it says differs in nothing, and too few replicas are told."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.topics import CATALOGUE, MIN_INSYNC
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import compare_topics, create_topics


@pytest.mark.parametrize("broker", ["fresh_embedded", "fresh_kafka"])
def test_what_was_created_is_as_the_catalogue_says_and_too_few_replicas_are_told(broker: str, request: pytest.FixtureRequest) -> None:
    found: Any = request.getfixturevalue(broker)
    kafka = KafkaSettings(found.bootstrap)
    create_topics(kafka, CATALOGUE, 1)

    assert compare_topics(kafka, CATALOGUE, 1) == []
    lacking = compare_topics(kafka, CATALOGUE, 3)
    assert {each.topic for each in lacking if each.what == "replication"} == {spec.name for spec in CATALOGUE}
    assert {each.what for each in lacking} - {MIN_INSYNC} == {"replication"}
    if broker == "fresh_kafka":
        assert {(each.expected, each.found) for each in lacking if each.what == MIN_INSYNC} == {("2", "1")}
