"""The sink: reads the control logs and writes them to the store. Add, flush, and only then commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import HEARTBEAT_MS, SESSION_TIMEOUT_MS
from streams.harness.stage import Record
from streams.sink import metrics
from streams.sink.batch import STAGE, Batch
from streams.sink.letters import Letters
from streams.sink.rows import TOPICS
from streams.sink.store import Store

log = structlog.get_logger()

GROUP = "airra-sink"
BATCH_RECORDS = 1_000  # also the bound of what is held while the store is away
GATHER_S = 0.5  # how long a batch gathers: an outcome is queryable in about a second
COMMIT_IDLE_S = 5.0  # between commits that only move past ticks
BACKOFF_S = (0.5, 10.0)  # first and longest wait; well below max.poll.interval.ms (300 s)
PROBE_TIMEOUT_S = 2.0
_CONFIG: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # the store is rebuilt from what the log still has
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "topic.metadata.refresh.interval.ms": 10_000,  # a topic that is created later is found within this
    "session.timeout.ms": SESSION_TIMEOUT_MS,  # librdkafka beats in a thread of its own, so a busy sink is not lost
    "heartbeat.interval.ms": HEARTBEAT_MS,
    "queued.max.messages.kbytes": 16_384,  # what librdkafka holds ahead of us
    "fetch.queue.backoff.ms": 50,  # the default of a second would delay what follows a full queue
}


class Kafka(Protocol):
    """Where Kafka is: streams.harness.kafka.KafkaSettings."""

    def confluent(self) -> dict[str, Any]: ...


class Ready(Protocol):
    """Who hears about it: streams.harness.readiness.Readiness."""

    def set(self, component: str, ready: bool, reason: str = "") -> None: ...


class Sink:
    """One consumer of the group; a second process with another `instance` is a standby."""

    def __init__(
        self,
        kafka: Kafka,
        store: Store,
        *,
        instance: str = "0",
        make_consumer: Callable[[dict[str, Any]], Any] = Consumer,
        letters: Letters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._instance = instance
        self._make_consumer = make_consumer
        self._letters = letters or Letters(kafka.confluent())
        self._clock = clock
        self._batch = Batch()
        self._committed_at = clock()
        self._failures = 0
        self._assigned = False
        self._paused = False
        self._kafka_trouble = ""
        self._missing: set[str] = set()
        self._ready: Ready | None = None

    def run(self, stop: threading.Event, readiness: Ready) -> None:
        """Consume until `stop` is set; raises Fatal for what no waiting will cure. Flushes what it holds before it returns."""
        self._ready = readiness
        self._tell("starting")
        if not self._prepare(stop):
            return
        identity = {"group.id": GROUP, "group.instance.id": f"{GROUP}-{self._instance}", "error_cb": self._heard}
        consumer = self._make_consumer({**_CONFIG, **self._kafka.confluent(), **identity})
        topics = [topic.name for topic in TOPICS]
        consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        try:
            while not stop.is_set():
                self._turn(consumer, stop)
            self._try_flush(consumer)
        finally:
            consumer.close()
            readiness.set(STAGE, ready=False, reason="stopped")

    def _prepare(self, stop: threading.Event) -> bool:
        """Migrate the store, waiting until it can be reached; False if stopped before."""
        while not stop.is_set():
            try:
                applied = self._store.migrate()
            except Retryable as error:
                self._failed("migrate", error)
                stop.wait(self._backoff())
            else:
                self._failures = 0
                log.info("store_ready", store=self._store.place, migrations=len(applied))
                return True
        return False

    def _turn(self, consumer: Any, stop: threading.Event) -> None:
        """Gather for half a second at most, then flush; while the store is away take nothing more in."""
        if self._failures:
            stop.wait(self._backoff())
            consumer.pause(consumer.assignment())
            self._paused = True
            self._take([message for message in [consumer.poll(0)] if message is not None])  # keeps the membership alive
        else:
            self._take(consumer.consume(max(BATCH_RECORDS - self._batch.records, 1), GATHER_S))
        if self._due():
            self._try_flush(consumer)
        if self._paused and not self._failures:
            consumer.resume(consumer.assignment())
            self._paused = False
        self._report(consumer)

    def _due(self) -> bool:
        if self._batch.worth_flushing or self._batch.records >= BATCH_RECORDS:
            return True
        return self._batch.records > 0 and self._clock() - self._committed_at >= COMMIT_IDLE_S

    def _take(self, messages: Sequence[Any]) -> None:
        for message in messages:
            if error := message.error():
                self._heard(error, message.topic())
            else:
                self._kafka_trouble = ""
                self._missing.discard(message.topic())
                self._batch.add(_record(message))
        metrics.BUFFERED.set(self._batch.records)

    def _try_flush(self, consumer: Any) -> bool:
        """Write, then bury, then commit; False keeps everything for the next time."""
        if not self._batch.records:
            return True
        try:
            with metrics.FLUSH_SECONDS.time():
                written = self._batch.write(self._store)
            self._letters.send(self._batch.letters)
        except Retryable as error:
            self._failed("flush", error)
            return False
        for table, count in written.items():
            metrics.ROWS.labels(table).inc(count)
        for (topic, fate), count in self._batch.fates.items():
            metrics.RECORDS.labels(topic, fate.value).inc(count)
        if self._failures:
            log.info("store_back", store=self._store.place, held=self._batch.records)
        self._commit(consumer)
        self._forget()
        return True

    def _commit(self, consumer: Any) -> None:
        """Commit what is in the store. If it fails the rows are read and written again, which changes nothing."""
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._batch.following.items()]
        self._committed_at = self._clock()
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            metrics.FAILURES.labels("commit").inc()
            log.warning("commit_failed", reason=str(error.args[0]))
            if error.args[0].fatal():
                raise Fatal(f"the sink lost its place in its group: {error.args[0].str()}") from error

    def _forget(self) -> None:
        self._batch = Batch()
        self._failures = 0
        metrics.BUFFERED.set(0)

    def _failed(self, what: str, error: Retryable) -> None:
        self._failures += 1
        metrics.FAILURES.labels(what).inc()
        log.warning("store_away", what=what, reason=str(error), attempt=self._failures, held=self._batch.records)
        self._tell(str(error))

    def _backoff(self) -> float:
        first, longest = BACKOFF_S
        return min(first * 2.0 ** min(self._failures - 1, 10), longest)

    def _on_assign(self, consumer: Any, partitions: Sequence[Any]) -> None:
        del consumer
        self._assigned = self._assigned or bool(partitions)
        self._missing -= {partition.topic for partition in partitions}
        self._kafka_trouble = ""

    def _on_revoke(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Hand over in order: what is in hand is stored and committed, or left uncommitted for the next owner."""
        if not self._try_flush(consumer):
            self._forget()
        self._let_go(consumer, partitions)

    def _on_lost(self, consumer: Any, partitions: Sequence[Any]) -> None:
        self._forget()  # another owner reads it again from the last commit
        self._let_go(consumer, partitions)

    def _let_go(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Resume what goes: the client keeps a pause over a move, and what comes back would not be read any more."""
        consumer.resume(partitions)
        self._paused = False
        self._assigned = False

    def _heard(self, error: Any, topic: str | None = None) -> None:
        """Sort what Kafka reports: fatal stops, the rest is a reason not to be ready."""
        if error.fatal():
            raise Fatal(f"Kafka: {error.str()}")
        known = self._kafka_trouble or self._missing
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART and topic:
            self._missing.add(topic)
        else:
            self._kafka_trouble = error.str()
        if not known:  # librdkafka repeats itself while it reconnects
            log.warning("kafka_trouble", reason=error.str(), topic=topic)

    def _report(self, consumer: Any) -> None:
        """Tell whether the sink is ready; librdkafka does not say when a lost broker is back, so ask."""
        if self._failures:
            return  # told where it happened
        if self._kafka_trouble:
            try:
                consumer.list_topics(timeout=PROBE_TIMEOUT_S)
            except KafkaException:
                pass  # still away: what was heard says more than the probe's time-out
            else:
                self._kafka_trouble = ""
        missing = f"missing topics: {', '.join(sorted(self._missing))}" if self._missing else ""
        self._tell(self._kafka_trouble or missing or ("" if self._assigned else "no partitions yet"))

    def _tell(self, reason: str) -> None:
        if self._ready is not None:
            self._ready.set(STAGE, ready=not reason, reason=reason)


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp()[1],
        key=message.key(),
        value=message.value() or b"",
        headers=tuple((name, value if isinstance(value, bytes) else b"") for name, value in message.headers() or ()),
    )
