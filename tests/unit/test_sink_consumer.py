"""The sink's loop over a hand-written consumer and store: add, flush, and only then commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.signals import Tick
from schemas.topics import DLQ, INCIDENTS, OUTCOMES
from streams.harness.errors import Fatal, Retryable
from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record
from streams.sink import Sink
from streams.sink import consumer as consumer_module
from streams.sink.letters import Letters
from streams.sink.rows import Row
from tests.unit.sink_records import Log, incident, outcome, whole_loop


class Error:
    """A KafkaError as the sink sees one; the real one cannot be made fatal by hand."""

    def __init__(self, code: int, text: str = "trouble", *, is_fatal: bool = False) -> None:
        self._code, self._text, self._fatal = code, text, is_fatal

    def code(self) -> int:
        return self._code

    def str(self) -> str:
        return self._text

    def fatal(self) -> bool:
        return self._fatal


class Message:
    def __init__(self, record: Record | None, error: Error | None = None, topic: str = "") -> None:
        self._record, self._error, self._topic = record, error, topic

    def __getattr__(self, name: str) -> Callable[[], Any]:
        return lambda: getattr(self._record, name)

    def error(self) -> Error | None:
        return self._error

    def topic(self) -> str:
        return self._record.topic if self._record else self._topic

    def timestamp(self) -> tuple[int, int]:
        return 2, self._record.timestamp if self._record else -1


class FakeKafka:
    """One member of a group over a list of records; calls `quiet` whenever it has no more to give."""

    def __init__(self, records: Sequence[Record], quiet: Callable[[], None], journal: list[str]) -> None:
        self.records = list(records)
        self.quiet = quiet
        self.journal = journal
        self.committed: dict[tuple[str, int], int] = {}
        self.errors: list[Message] = []
        self.config: dict[str, Any] = {}
        self.callbacks: dict[str, Callable[..., None]] = {}
        self.paused = False
        self.closed = False
        self.largest = 0
        self.commit_error: Exception | None = None

    def confluent(self) -> dict[str, Any]:
        return {"bootstrap.servers": "nowhere"}

    def make(self, config: dict[str, Any]) -> FakeKafka:
        self.config = config
        return self

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.topics = topics
        self.callbacks = callbacks

    def assignment(self) -> list[Any]:
        return []

    def pause(self, partitions: list[Any]) -> None:
        self.paused = True

    def resume(self, partitions: list[Any]) -> None:
        self.paused = False

    def poll(self, timeout: float) -> Message | None:
        return None

    def consume(self, count: int, timeout: float) -> list[Message]:
        assert not self.paused
        self.largest = max(self.largest, count)
        if self.errors:
            return [self.errors.pop(0)]
        taken, self.records = self.records[:count], self.records[count:]
        if not taken:
            self.quiet()
        return [Message(record) for record in taken]

    def list_topics(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "timed out"))

    def commit(self, offsets: list[Any], asynchronous: bool) -> None:
        assert not asynchronous
        if self.commit_error:
            raise self.commit_error
        self.journal.append("commit")
        self.committed.update({(each.topic, each.partition): each.offset for each in offsets})

    def close(self) -> None:
        self.closed = True


class FakeStore:
    place = "memory"

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.rows: list[Row] = []
        self.failures: list[Exception] = []
        self.migrations_failing: list[Exception] = []

    def migrate(self) -> tuple[str, ...]:
        if self.migrations_failing:
            raise self.migrations_failing.pop(0)
        return ()

    def insert(self, rows: Iterable[Row]) -> dict[str, int]:
        if self.failures:
            raise self.failures.pop(0)
        new = list(rows)
        self.rows += new
        self.journal.append("insert")
        return {row.table: 1 for row in new}


class FakeLetters(Letters):
    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.sent: list[Output] = []
        self.failures: list[Exception] = []

    def send(self, outputs: Sequence[Output]) -> None:
        if outputs and self.failures:
            raise self.failures.pop(0)
        if outputs:
            self.journal.append("bury")
        self.sent += outputs


class Run:
    """A sink with fakes on every side; stops when its log is read, and never waits."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.stop = NoWait()
        self.journal: list[str] = []
        self.kafka = FakeKafka(records, self.stop.set, self.journal)
        self.store = FakeStore(self.journal)
        self.letters = FakeLetters(self.journal)
        self.readiness = Recorder()
        self.clock = 0.0
        self.sink = Sink(
            self.kafka,
            self.store,  # type: ignore[arg-type]
            make_consumer=self.kafka.make,
            letters=self.letters,
            clock=lambda: self.clock,
        )

    def go(self) -> Run:
        self.sink.run(self.stop, self.readiness)
        return self


class NoWait(threading.Event):
    waits: list[float]

    def __init__(self) -> None:
        super().__init__()
        self.waits = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


class Recorder(Readiness):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def set(self, component: str, ready: bool, reason: str = "") -> None:
        super().set(component, ready, reason)
        self.said.append(reason)


def test_rows_are_in_the_store_before_anything_is_committed() -> None:
    log = whole_loop()
    run = Run(log.records).go()
    assert run.journal == ["insert", "commit"]
    assert len(run.store.rows) == len(log.records) - 5
    assert run.kafka.committed[OUTCOMES.name, 0] == 1
    assert run.kafka.closed


def test_the_sink_is_a_static_member_that_commits_itself_and_reads_from_the_start() -> None:
    config = Run([]).go().kafka.config
    assert (config["group.id"], config["group.instance.id"]) == ("airra-sink", "airra-sink-0")
    assert (config["enable.auto.commit"], config["auto.offset.reset"], config["isolation.level"]) == (False, "earliest", "read_committed")


def test_while_the_store_is_away_nothing_is_lost_committed_or_taken_in_without_bound() -> None:
    log = Log()
    for version in range(1, 3_001):
        log.append(INCIDENTS, incident(version))
    run = Run(log.records)
    run.store.failures = [Retryable("store memory: connection refused")] * 6
    run.go()
    assert run.kafka.largest == consumer_module.BATCH_RECORDS
    assert len(run.store.rows) == 3_000
    assert run.kafka.committed == {(INCIDENTS.name, 0): 3_000}
    assert run.stop.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert run.readiness.said.count("store memory: connection refused") == 6
    assert run.journal == ["insert", "commit"] * 3


def test_a_store_that_is_down_at_the_start_is_waited_for() -> None:
    run = Run(whole_loop().records)
    run.store.migrations_failing = [Retryable("store memory: connection refused")] * 3
    run.go()
    assert run.stop.waits == [0.5, 1.0, 2.0]
    assert run.journal == ["insert", "commit"]


def test_what_cannot_be_cured_by_waiting_stops_the_sink_uncommitted() -> None:
    run = Run(whole_loop().records)
    run.store.failures = [Fatal("the store refuses the login")]
    with pytest.raises(Fatal, match="login"):
        run.go()
    assert run.journal == []
    assert run.kafka.closed


def test_a_poison_record_is_buried_before_the_commit_and_the_rest_is_stored() -> None:
    log = Log()
    log.append(OUTCOMES, outcome("act-1"))
    log.append_bytes(OUTCOMES, b"nonsense")
    log.append(OUTCOMES, outcome("act-2"))
    run = Run(log.records).go()
    assert run.journal == ["insert", "bury", "commit"]
    assert [row.values["action"] for row in run.store.rows] == ["act-1", "act-2"]
    assert [letter.topic for letter in run.letters.sent] == [DLQ.name]
    assert run.kafka.committed == {(OUTCOMES.name, 0): 3}


def test_a_dead_letter_that_is_not_acknowledged_holds_the_commit_back() -> None:
    run = Run([Log().append_bytes(OUTCOMES, b"nonsense")])
    run.letters.failures = [Retryable("dead letters: 1 not acknowledged")]
    run.go()
    assert run.journal == ["bury", "commit"]
    assert run.readiness.said.count("dead letters: 1 not acknowledged") == 1


def test_ticks_alone_move_the_commit_only_every_few_seconds() -> None:
    log = Log()
    run = Run([log.append(INCIDENTS, Tick(at=1))])
    turns = iter(range(20))

    def quiet() -> None:
        run.clock += 0.5
        if next(turns) == 19:
            run.stop.set()
        else:
            run.kafka.records = [log.append(INCIDENTS, Tick(at=1))]

    run.kafka.quiet = quiet
    run.go()
    assert run.journal.count("commit") == 2  # in 10 s of ticks
    assert run.kafka.committed == {(INCIDENTS.name, 0): 20}


def test_a_failed_commit_is_repeated_by_the_next_one_and_a_lost_place_is_fatal() -> None:
    run = Run([Log().append(OUTCOMES, outcome())])
    run.kafka.commit_error = KafkaException(Error(KafkaError.REBALANCE_IN_PROGRESS))
    run.go()
    assert run.kafka.committed == {}
    lost = Run([Log().append(OUTCOMES, outcome())])
    lost.kafka.commit_error = KafkaException(Error(KafkaError.FENCED_INSTANCE_ID, "fenced", is_fatal=True))
    with pytest.raises(Fatal, match="fenced"):
        lost.go()


def test_a_revoked_partition_is_flushed_first_and_a_lost_one_is_dropped() -> None:
    for callback, expected in (("on_revoke", ["insert", "commit"]), ("on_lost", [])):
        run = Run([Log().append(OUTCOMES, outcome())])
        original = run.sink._due
        run.sink._due = lambda run=run, name=callback: run.kafka.callbacks[name](run.kafka, []) or False  # type: ignore[method-assign]
        run.go()
        assert run.journal == expected
        assert original() is False


def test_a_revoke_while_the_store_is_away_leaves_the_records_to_the_next_owner() -> None:
    run = Run([Log().append(OUTCOMES, outcome())])
    run.store.failures = [Retryable("away")]
    run.sink._due = lambda: run.kafka.callbacks["on_revoke"](run.kafka, []) or False  # type: ignore[method-assign]
    run.go()
    assert run.kafka.committed == {}
    assert run.store.rows == []


def test_a_missing_topic_and_a_lost_broker_are_reasons_and_fatal_is_fatal() -> None:
    run = Run([])
    run.kafka.errors = [
        Message(None, Error(KafkaError.UNKNOWN_TOPIC_OR_PART), "airra.outcomes.v1"),
        Message(None, Error(KafkaError._ALL_BROKERS_DOWN, "down")),
    ]
    run.go()
    assert "missing topics: airra.outcomes.v1" in run.readiness.said
    assert "down" in run.readiness.said
    assert run.readiness.report() == (False, {"sink": "stopped"})
    fatal = Run([])
    fatal.kafka.errors = [Message(None, Error(KafkaError._FATAL, "fenced", is_fatal=True))]
    with pytest.raises(Fatal, match="fenced"):
        fatal.go()


def test_the_sink_is_ready_once_it_has_partitions() -> None:
    run = Run([])
    run.kafka.quiet = lambda: (run.kafka.callbacks["on_assign"](run.kafka, [TopicPartition(OUTCOMES.name, 0)]), run.stop.set())
    run.go()
    assert run.readiness.said[-2:] == ["", "stopped"]


def test_letters_wait_for_every_acknowledgement() -> None:
    class Producer:
        def __init__(self, left: int, error: Any) -> None:
            self.left, self.error = left, error

        def produce(self, topic: str, on_delivery: Callable[[Any, Any], None], **_: Any) -> None:
            on_delivery(self.error, None)

        def flush(self, timeout: float) -> int:
            return self.left

    output = Output(DLQ.name, None, b"x")
    Letters({}, lambda _: Producer(0, None)).send([output])
    with pytest.raises(Retryable, match="1 not acknowledged"):
        Letters({}, lambda _: Producer(1, None)).send([output])
    with pytest.raises(Retryable, match="trouble"):
        Letters({}, lambda _: Producer(0, Error(1))).send([output])
