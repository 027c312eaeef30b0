"""librdkafka keeps a pause over a revoke and the next assignment: whoever pauses resumes what goes, or it is never read again.

On the client's own mock cluster: it has groups and their moves, and needs no broker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from schemas.base import canonical
from schemas.config.metrics import MetricsMapping
from schemas.topics import ALERTS, DLQ, NOTICES, SAMPLES, SERIES, SIGNALS
from streams.harness.errors import Retryable
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.normalise import consumer as normalise
from streams.normalise import held as held_partitions
from streams.normalise.consumer import Normaliser
from streams.normalise.raw import Waits
from streams.sink import Sink
from streams.sink import consumer as sink
from streams.sink.rows import TOPICS, Row
from tests.unit.sink_fakes import FakeLetters, FakeStore
from tests.unit.sink_records import notice

WITHIN_S = 60.0
MAPPING = MetricsMapping.model_validate(
    {"service_labels": ["service"], "metrics": [{"match": "requests_total", "kind": "requests", "type": "counter"}]}
)
QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 100}


@pytest.fixture
def broker() -> Iterator[KafkaSettings]:
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
    (one,) = cluster.list_topics(timeout=WITHIN_S).brokers.values()
    yield KafkaSettings(f"127.0.0.1:{one.port}")
    cluster.flush(0)


def until(reached: Callable[[], bool], what: str, step: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
        step()


def write(broker: KafkaSettings, values: Iterable[tuple[str, int, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for topic, partition, value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(WITHIN_S) == 0


@contextmanager
def another(broker: KafkaSettings, group: str, topics: list[str], strategy: str, gone: Callable[[], bool]) -> Iterator[None]:
    """Be a second member of the group, from when it has a share and the first one knows it."""
    config: dict[str, Any] = {"bootstrap.servers": broker.bootstrap, "group.id": group, "partition.assignment.strategy": strategy}
    other = Consumer({**config, **QUICK, "enable.auto.commit": False, "log_level": 0})
    other.subscribe(topics)
    until(lambda: bool(other.assignment()) and gone(), "another member has a share", lambda: other.poll(0.02))
    try:
        yield
    finally:
        other.close()


@contextmanager
def running(run: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WITHIN_S)


class AwayStore(FakeStore):
    away = False

    def insert(self, rows: Iterable[Row]) -> dict[str, int]:
        if self.away:
            raise Retryable("the store is away")
        return super().insert(rows)


def test_the_sink_goes_on_after_its_partitions_went_while_the_store_was_away(
    broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_CONFIG", {**sink._CONFIG, **QUICK})
    monkeypatch.setattr(sink, "BACKOFF_S", (0.05, 0.05))
    write(broker, [(topic.name, 0, b"{}") for topic in TOPICS])
    store = AwayStore([])
    subject = Sink(broker, store, letters=FakeLetters([]))

    def told(count: int) -> bool:
        """What stood uncommitted is read twice."""
        return len({row.values["id"] for row in store.rows if row.table == "notices"}) == count

    with running(lambda stop: subject.run(stop, Readiness())):
        write(broker, [(NOTICES.name, 0, canonical(notice(0)))])
        until(lambda: told(1), "the first is stored")
        store.away = True
        write(broker, [(NOTICES.name, 0, canonical(notice(1)))])
        until(lambda: subject._paused, "the store is missed")
        with another(broker, sink.GROUP, [topic.name for topic in TOPICS], "range", lambda: not subject._batch.records):
            store.away = False
        write(broker, [(NOTICES.name, 0, canonical(notice(2)))])
        until(lambda: told(3), "all are stored")


def test_normalise_reads_on_what_it_held_when_it_went_and_came_back(broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = dict.fromkeys((SAMPLES.name, SERIES.name, ALERTS.name, SIGNALS.name, DLQ.name), 4)
    monkeypatch.setattr(normalise, "check", lambda *_: checked)
    write(broker, [("metrics", partition, b"garbage") for partition in range(4)])
    subject = Normaliser(broker, MAPPING, ["metrics"])
    config, taken, away = subject._config, subject._taken, threading.Event()

    def held(source: tuple[str, int], stretch: Any) -> Any:
        if away.is_set():
            raise Waits(0, "the schema registry is away")
        return taken(source, stretch)

    def read_to(offset: int, partitions: Iterable[int]) -> bool:
        return all(subject._following.get(("metrics", partition)) == offset for partition in partitions)

    monkeypatch.setattr(subject, "_config", lambda: {**config(), **QUICK})
    monkeypatch.setattr(subject, "_taken", held)
    monkeypatch.setattr(held_partitions, "HOLD_S", 3600.0)  # what goes is paused then; what stays is not read again here
    with running(lambda stop: subject.run(stop, Readiness())):
        until(lambda: read_to(1, range(4)), "the first of each is taken")
        away.set()
        write(broker, [("metrics", partition, b"garbage") for partition in range(4)])
        until(lambda: len(subject._held) == 4, "all are held")
        with another(broker, config()["group.id"], ["metrics"], "cooperative-sticky", lambda: len(subject._assigned) < 4):
            went = {0, 1, 2, 3} - {partition for _, partition in subject._assigned}
            away.clear()
        until(lambda: read_to(2, went), "the second of each that went is taken")
