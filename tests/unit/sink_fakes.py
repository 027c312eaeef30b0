"""Hand-written fakes on every side of the sink: its consumer, its store, its letters, and a run of it that never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record
from streams.sink import Sink
from streams.sink.letters import Letters
from streams.sink.rows import Row


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
