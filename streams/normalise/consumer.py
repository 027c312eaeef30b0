"""The shell of normalise: a plain consumer; what it appends is acknowledged before what it read is committed.

Stateless per source partition. What a crash repeats is the same rows with the same source offsets, or events with the same ids:
detect and dedup keep a high-water mark per source partition, correlate knows changes by id.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.config.metrics import MetricsMapping
from schemas.topics import ALERTS, DLQ, SAMPLES, SERIES, SIGNALS
from streams.harness.errors import Fatal
from streams.harness.kafka import CHECK_WITHIN_S, HEARTBEAT_MS, SESSION_TIMEOUT_MS, KafkaSettings, check, explain
from streams.harness.memory import Freed
from streams.harness.readiness import Readiness
from streams.harness.stage import Output
from streams.normalise import metrics
from streams.normalise.acks import Flight, producer, send, wait
from streams.normalise.backfill import Stretch, stretches
from streams.normalise.core import STAGE, Core, Taken, load
from streams.normalise.formats.choice import Choice
from streams.normalise.held import HOLD_S, Held
from streams.normalise.lag import lags
from streams.normalise.raw import Waits
from streams.normalise.reading import read
from streams.normalise.sources import Sources

GROUP = "airra-{lane}"
BATCH_RECORDS = 20_000
GATHERED_ROWS = 200_000  # of records of batching agents: then they are sent
BATCH_WAIT_S = 0.03  # at a low rate this is the delay that a sample suffers here, at a high one the batch fills sooner
COMMIT_EVERY_S = 1.0  # what a crash repeats is dropped downstream: a commit a batch would only cost
LOOK_EVERY_S = 5.0  # for a raw topic that is missing, or a broker that is away
ERRORS = 50  # of them the newest are kept for an explanation
FORBIDDEN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)

log = structlog.get_logger()


class Normaliser:
    """Run in a thread of its own. Raises Fatal, uncommitted, for what only a restart or a person can mend."""

    def __init__(
        self,
        kafka: KafkaSettings,
        mapping: MetricsMapping,
        metrics_topics: Sequence[str],
        alerts_topics: Sequence[str] = (),
        changes_topics: Sequence[str] = (),
        instance: str = "0",
        check_within_s: float = CHECK_WITHIN_S,
        wall: Callable[[], float] = time.time,
        lane: str = STAGE,
        choice: Choice | None = None,
    ) -> None:
        """`lane` names the group, and the component that readiness tells of; `choice` says of what format a record of metrics is."""
        self._kafka = kafka
        self._lane = lane
        self._group = GROUP.format(lane=lane)
        self._mapping = mapping
        self._instance = instance
        self._check_within_s = check_within_s
        self._wall = wall
        self._metrics = bool(metrics_topics)
        self._sources = Sources(metrics_topics, alerts_topics, changes_topics)
        self._errors: deque[KafkaError] = deque(maxlen=ERRORS)  # what librdkafka reported since the broker last answered
        self._assigned: set[tuple[str, int]] = set()
        self._committable: dict[tuple[str, int], int] = {}
        self._following: dict[tuple[str, int], int] = {}  # next offset to read
        self._flight = Flight({})
        self._held = Held()
        self._choice = choice
        self._freed = Freed()
        self._failed = False

    def run(self, stop: threading.Event, readiness: Readiness) -> None:
        """Consume until `stop`; then all that was read is acknowledged and committed."""
        partitions = check(self._kafka, [SAMPLES.name, SERIES.name, ALERTS.name, SIGNALS.name, DLQ.name], self._check_within_s)
        self._core = Core(self._mapping, partitions[SAMPLES.name], partitions[ALERTS.name], choice=self._choice)
        self._producer = producer(self._kafka)
        self._consumer = Consumer(self._config())
        try:
            self._loop(stop, readiness)
            self._settle()
            self._commit(asynchronous=False)
        except KafkaException as error:
            self._failed = True
            raise Fatal(self._explain(error.args[0])) from error
        except Fatal:
            self._failed = True
            raise
        finally:
            readiness.set(self._lane, False, "stopped")
            self._consumer.close()

    def _loop(self, stop: threading.Event, readiness: Readiness) -> None:
        self._look(readiness)
        if self._metrics:
            load(self._mapping)  # while the group forms: this consumer fetches nothing before it is first asked
        looked = committed = time.monotonic()
        while not stop.is_set():
            messages = self._consumer.consume(BATCH_RECORDS, BATCH_WAIT_S)
            idle = not messages
            before, self._flight = self._flight, self._take(messages)
            del messages  # or the next batch would need memory of its own beside them
            self._arrived(before)  # one batch is on its way while the next is decoded
            if idle:
                self._settle()
                self._freed.give_back()
            self._resume(self._held.due())
            now = time.monotonic()
            if now - committed >= COMMIT_EVERY_S:
                self._commit(asynchronous=True)
                self._tell_lag()
                committed = now
            if now - looked >= LOOK_EVERY_S:
                if self._sources.missing or self._errors:
                    self._look(readiness)
                looked = now

    def _take(self, messages: Sequence[Message]) -> Flight:
        """Decode what was read, and send what comes of it."""
        flight = Flight({})
        for outputs in self._decoded(messages, flight):
            send(self._producer, outputs, flight)
        self._following.update(flight.positions)
        return flight

    def _decoded(self, messages: Sequence[Message], flight: Flight) -> Iterator[Iterable[Output]]:
        """Decode partition by partition; yield what is to be sent, of the live stream of all partitions together."""
        live = Taken()
        for source, group in self._grouped(messages).items():
            found = read(group)
            metrics.RECEIVED.labels(source[0]).inc(len(group))
            metrics.REPEATED.inc(found.repeated)
            flight.positions[source] = found.offsets[-1] + 1
            for stretch in (stretch for piece in found.pieces() for stretch in stretches(piece)):
                metrics.BATCH_RECORDS.observe(len(stretch.found.offsets))
                taken, waits = self._taken_as_far_as(source, stretch)
                if stretch.historical or live.held >= GATHERED_ROWS:
                    yield live.outputs
                    live = Taken()
                if stretch.historical:
                    yield stretch.marked(taken.outputs)
                else:
                    live.add(taken)
                if waits is not None:
                    flight.positions[source] = stretch.found.offsets[waits.index]
                    self._hold(source, stretch.found.offsets[waits.index], waits)
                    break
        yield live.outputs

    def _tell_lag(self) -> None:
        for topic, waiting in lags(self._consumer, self._sources.present, self._following).items():
            metrics.LAG.labels(topic).set(waiting)

    def _hold(self, source: tuple[str, int], offset: int, away: Waits) -> None:
        """Come back to this offset after a while."""
        place = TopicPartition(*source, offset)
        self._consumer.pause([place])
        self._consumer.seek(place)
        self._held.hold(source)
        log.warning("partition_held", partition=f"{source[0]}/{source[1]}", offset=offset, reason=str(away), again_in_s=HOLD_S)

    def _resume(self, sources: Sequence[tuple[str, int]]) -> None:
        if sources:
            self._consumer.resume([TopicPartition(*source) for source in sources])

    def _taken_as_far_as(self, source: tuple[str, int], stretch: Stretch) -> tuple[Taken, Waits | None]:
        """Take the records before the first that has to wait; return that, too."""
        waits, able = None, len(stretch.found.offsets)
        while able:
            try:
                return self._taken(source, stretch.first(able)), waits
            except Waits as away:
                waits, able = away, away.index
        return Taken(), waits

    def _taken(self, source: tuple[str, int], stretch: Stretch) -> Taken:
        form, found = self._sources.form(source[0]), stretch.found
        reach = stretch.reach(int(self._wall() * 1000))
        if form == "metrics":
            taken = self._core.take_samples(source, found.values, found.offsets, found.stamps, found.record, reach, found.headers)
        elif form == "alerts":
            taken = self._core.take_alerts(found.records(), reach)
        else:
            taken = self._core.take_changes(found.records(), reach)
        metrics.count(form, source[0], taken)
        if stretch.historical:
            metrics.HISTORICAL.labels(form).inc(len(found.offsets))
        metrics.count_cache(self._core)
        if form == "metrics":
            metrics.CACHED.set(len(self._core.cache))
        return taken

    def _grouped(self, messages: Sequence[Message]) -> dict[tuple[str, int], list[Message]]:
        groups: dict[tuple[str, int], list[Message]] = {}
        topic, partition, group = "", -1, []  # of the message before: they come in runs
        for message in messages:
            if (error := message.error()) is not None:
                self._heed(error)
                continue
            if message.partition() != partition or message.topic() != topic:
                topic, partition = message.topic(), message.partition()
                group = groups.setdefault((topic, partition), [])
            group.append(message)
        return {source: group for source, group in groups.items() if source in self._assigned}  # moved away within the same call

    def _heed(self, error: KafkaError) -> None:
        """Sort an error that stands among the messages: a missing topic stops nobody."""
        if error.fatal() or error.code() in FORBIDDEN:
            raise Fatal(self._explain(error))
        self._errors.append(error)

    def _look(self, readiness: Readiness) -> None:
        """See which raw topics are there, read those, and say which are not."""
        try:
            there = self._consumer.list_topics(timeout=LOOK_EVERY_S).topics
        except KafkaException as error:
            reason = explain(self._kafka, [*self._errors, error.args[0]])
            readiness.set(self._lane, False, reason)
            log.warning("broker_away", reason=reason)
            return
        if self._errors:
            log.info("broker_errors_passed", errors=sorted({error.str() for error in self._errors}))
            self._errors.clear()
        if self._sources.see({name for name, topic in there.items() if topic.error is None}):
            if self._sources.present:
                self._consumer.subscribe(self._sources.present, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)
            if self._sources.missing:
                log.warning("raw_topic_missing", topics=self._sources.missing, broker=self._kafka.bootstrap, hint=self._sources.hint)
        metrics.MISSING_TOPICS.labels(self._lane).set(len(self._sources.missing))
        readiness.set(self._lane, bool(self._sources.present), self._sources.reason(self._kafka.bootstrap))

    def _assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned.update((one.topic, one.partition) for one in partitions)
        log.info("partitions_assigned", partitions=[f"{one.topic}/{one.partition}" for one in partitions])

    def _revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Finish what is on its way and commit it while the partitions are still ours."""
        if not self._failed:
            self._settle()
            self._commit(asynchronous=False)
        self._lose(_consumer, partitions)

    def _lose(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._resume(self._held.let_go((one.topic, one.partition) for one in partitions))  # the client keeps a pause over a move
        for one in partitions:
            source = (one.topic, one.partition)
            self._assigned.discard(source)
            for positions in (self._committable, self._flight.positions, self._following):
                positions.pop(source, None)
        log.info("partitions_revoked", partitions=[f"{one.topic}/{one.partition}" for one in partitions])

    def _settle(self) -> None:
        self._arrived(self._flight)

    def _arrived(self, flight: Flight) -> None:
        wait(self._producer, flight)
        self._committable.update(flight.positions)
        flight.positions = {}

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._committable.items()]
        if not offsets:
            return
        self._committable = {}
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)
        except KafkaException as error:
            if error.args[0].fatal():
                raise
            self._committed(error.args[0], offsets)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Try again with the next commit what was refused; what is read again meanwhile is dropped downstream."""
        if error is None:
            return
        log.warning("commit_refused", error=error.str())
        for one in partitions:
            if (source := (one.topic, one.partition)) in self._assigned:
                self._committable.setdefault(source, one.offset)

    def _explain(self, error: KafkaError) -> str:
        if error.code() == KafkaError.FENCED_INSTANCE_ID:
            return f"another normalise runs as instance {self._instance!r}: give each its own AIRRA_INSTANCE"
        return explain(self._kafka, [*self._errors, error])

    def _config(self) -> dict[str, object]:
        return {
            **self._kafka.confluent(),
            "group.id": self._group,
            "group.instance.id": f"{self._group}-{self._instance}",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            "fetch.queue.backoff.ms": 5,  # at the default of 1000 a full queue stands still for a second: 5 times slower
            "queued.min.messages": 400_000,
            "log_level": 0,  # errors come through the callback, and out as structured logs
            "error_cb": self._errors.append,
            "on_commit": self._committed,
        }
