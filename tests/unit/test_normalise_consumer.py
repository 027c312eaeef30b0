"""normalise commits what it has read only once all that came of it, dead letters too, is acknowledged."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TopicPartition
from confluent_kafka.admin import ClusterMetadata

from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.topics import DLQ
from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.normalise import consumer
from streams.normalise.consumer import Normaliser
from streams.normalise.core import Core
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.catalogue import choice_of
from streams.normalise.sources import Sources

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
SOURCE = ("metrics", 0)


@dataclass
class Poisoned:
    """A raw record that nobody can read."""

    at: int

    def error(self) -> None: ...

    def topic(self) -> str:
        return SOURCE[0]

    def partition(self) -> int:
        return SOURCE[1]

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return b"no sample"

    def key(self) -> None: ...

    def headers(self) -> None: ...

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1000


class Refused:
    def str(self) -> str:
        return "the broker refuses"


@dataclass
class Broker:
    """Producer and consumer in one: it acknowledges after a few polls, and remembers what was on its way at each commit."""

    error: Any = None
    waiting: list[Callable[[Any, Any], None]] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    polls: int = 0
    commits: list[tuple[int, int]] = field(default_factory=list)  # the offset, and how many records were on their way

    def produce(self, topic: str, *, on_delivery: Callable[[Any, Any], None], **_: object) -> None:
        self.topics.append(topic)
        self.waiting.append(on_delivery)

    def poll(self, timeout: float) -> int:
        self.polls += timeout > 0
        if self.polls >= 3 and self.waiting:
            self.waiting.pop(0)(self.error, None)
        return 0

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        self.commits.append((offsets[0].offset, len(self.waiting)))


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def normaliser(broker: Broker) -> Any:
    made: Any = Normaliser(KafkaSettings("127.0.0.1:1"), MAPPING, [SOURCE[0]])
    made._core, made._producer, made._consumer = Core(MAPPING, 1, 1), broker, broker
    made._sources = Sources([SOURCE[0]], [], [])
    made._assigned = {SOURCE}
    return made


def test_a_dead_letter_is_acknowledged_before_the_record_it_is_about_is_committed(normaliser: Any, broker: Broker) -> None:
    flight = normaliser._take([Poisoned(7), Poisoned(8)])
    assert broker.topics == [DLQ.name, DLQ.name]
    normaliser._commit(asynchronous=False)
    assert broker.commits == []
    normaliser._arrived(flight)
    normaliser._commit(asynchronous=False)
    assert broker.commits == [(9, 0)]


def test_what_is_on_its_way_when_partitions_go_is_awaited_and_committed_while_they_are_ours(normaliser: Any, broker: Broker) -> None:
    normaliser._flight = normaliser._take([Poisoned(7)])
    normaliser._revoke(broker, [TopicPartition(*SOURCE)])
    assert broker.commits == [(8, 0)]
    normaliser._commit(asynchronous=False)
    assert len(broker.commits) == 1


def test_what_is_not_acknowledged_ends_the_process_uncommitted(normaliser: Any, broker: Broker) -> None:
    broker.error = Refused()
    flight = normaliser._flight = normaliser._take([Poisoned(7)])
    with pytest.raises(Fatal, match="the broker refuses"):
        normaliser._arrived(flight)
    normaliser._failed = True
    normaliser._revoke(broker, [TopicPartition(*SOURCE)])  # as closing the consumer does
    assert broker.commits == []


def test_records_of_a_partition_that_went_within_the_same_call_are_left_to_its_next_owner(normaliser: Any, broker: Broker) -> None:
    normaliser._assigned = set()
    assert normaliser._take([Poisoned(7)]).positions == {}
    assert broker.topics == []


@dataclass
class Schemaless:
    """A registry's frame whose schema cannot be had now, and beside it a record that needs none."""

    at: int
    topic_: str = SOURCE[0]
    content: bytes = b"\x00\x00\x00\x00\x07x"

    def error(self) -> None: ...

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return SOURCE[1]

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return self.content

    def key(self) -> None: ...

    def headers(self) -> None: ...

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1000


class Away:
    """A registry that is away until it is told otherwise."""

    def __init__(self) -> None:
        self.here = False

    def schema(self, asked: object) -> Any:
        if not self.here:
            raise Retryable("the registry does not answer")
        raise Rejected(Reason.UNKNOWN_FORMAT, f"no schema {asked}")


@dataclass
class Places:
    """The part of a consumer that a partition is held and resumed with."""

    calls: list[tuple[str, str, int]] = field(default_factory=list)

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self.calls += [("pause", one.topic, one.offset) for one in places]

    def seek(self, place: TopicPartition) -> None:
        self.calls.append(("seek", place.topic, place.offset))

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self.calls += [("resume", one.topic, 0) for one in places]


def test_a_record_whose_schema_is_away_is_come_back_to_and_the_other_partitions_go_on(
    normaliser: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, places, now = Away(), Places(), [100.0]
    monkeypatch.setattr("streams.normalise.held.time.monotonic", lambda: now[0])
    told = {"format": "confluent", "metrics": [{"name": "up", "value": "$.v"}]}
    normaliser._core = Core(MAPPING, 1, 1, choice=choice_of(FormatsMapping.model_validate({"topics": {SOURCE[0]: told}}), registry))
    normaliser._consumer = places
    normaliser._sources = Sources([SOURCE[0], "other"], [], [])
    normaliser._assigned = {SOURCE, ("other", 0)}
    flight = normaliser._take([Schemaless(7), Schemaless(8), Schemaless(3, "other", b"no sample")])
    assert flight.positions == {SOURCE: 7, ("other", 0): 4}  # what was not taken is not committed
    assert broker.topics == [DLQ.name]
    assert places.calls == [("pause", SOURCE[0], 7), ("seek", SOURCE[0], 7)]
    normaliser._resume(normaliser._held.due())
    assert len(places.calls) == 2
    now[0], registry.here = 106.0, True
    normaliser._resume(normaliser._held.due())
    assert places.calls[2:] == [("resume", SOURCE[0], 0)]
    normaliser._resume(normaliser._held.due())
    assert len(places.calls) == 3
    assert normaliser._take([Schemaless(7), Schemaless(8)]).positions == {SOURCE: 9}
    assert broker.topics == [DLQ.name] * 3


def test_what_stands_before_a_record_that_has_to_wait_is_taken_and_is_not_read_again(normaliser: Any, broker: Broker) -> None:
    registry, places = Away(), Places()
    told = {"format": "confluent", "metrics": [{"name": "up", "value": "$.v"}]}
    normaliser._core = Core(MAPPING, 1, 1, choice=choice_of(FormatsMapping.model_validate({"topics": {SOURCE[0]: told}}), registry))
    normaliser._consumer = places
    flight = normaliser._take([Poisoned(5), Poisoned(6), Schemaless(7), Poisoned(8), Schemaless(9)])
    assert flight.positions == {SOURCE: 7}
    assert broker.topics == [DLQ.name] * 2
    assert places.calls == [("pause", SOURCE[0], 7), ("seek", SOURCE[0], 7)]


def test_a_held_partition_that_goes_is_resumed_then_and_not_later(normaliser: Any) -> None:
    """The client keeps a pause over a move (test_pause_over_a_move.py)."""
    places = Places()
    normaliser._consumer = places
    normaliser._held.hold(SOURCE)
    normaliser._lose(places, [TopicPartition(*SOURCE), TopicPartition("other", 0)])
    assert places.calls == [("resume", SOURCE[0], 0)]
    normaliser._resume(normaliser._held.due())
    assert len(places.calls) == 1


@dataclass
class Consuming:
    """A consumer that has some batches, and notes at each call which messages of those before are still there."""

    batches: list[list[Poisoned]]
    stop: threading.Event
    given: list[weakref.ref[Poisoned]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    loaded: list[MetricsMapping] = field(default_factory=list)
    loaded_before: list[int] = field(default_factory=list)

    def list_topics(self, timeout: float) -> ClusterMetadata:
        return ClusterMetadata()

    def consume(self, count: int, timeout: float) -> list[Poisoned]:
        self.held.append(sum(one() is not None for one in self.given))
        self.loaded_before.append(len(self.loaded))
        if not self.batches:
            self.stop.set()
            return []
        messages = self.batches.pop(0)
        self.given += map(weakref.ref, messages)
        return messages


def test_a_batch_of_messages_is_let_go_before_the_next_is_made(normaliser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once take twice the memory, and Python keeps for good what it once took."""
    stop = threading.Event()
    normaliser._consumer = consuming = Consuming([[Poisoned(7), Poisoned(8)], [Poisoned(9)]], stop)
    monkeypatch.setattr(consumer, "load", consuming.loaded.append)
    normaliser._loop(stop, Readiness())
    assert consuming.held == [0, 0, 0]
    assert consuming.loaded == [MAPPING]
    assert consuming.loaded_before == [1, 1, 1], "before anything is fetched"
