"""How long a stage stands still: from a fault until the outputs keep up with the log again, seen from outside, on the two logs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams.harness.stage import Record
from tests.faults.counting import Counts, counting

BEHIND_S = 0.5  # a log is caught up with when every output of what is older stands
POLL_S = 0.02


class _Id(msgspec.Struct):
    id: str


class Tracker(threading.Thread):
    """Folds the input log as it grows, and notes which outputs are not there yet and since when.

    Use as a context. `behind` is the age of the oldest missing output: 0 when none is missing.
    """

    def __init__(self, bootstrap: str, stage: str, source: str, target: str) -> None:
        super().__init__(name="tracker", daemon=True)
        self._stage = counting(stage, source, target)
        self._states: dict[int, Counts] = {}
        self._missing: dict[str, float] = {}
        self._early: set[str] = set()  # seen before the input that explains them
        self._input, self._output = _follow(bootstrap, source), _follow(bootstrap, target)
        self._late = False
        self._caught_up_at: float | None = None  # the end of the last stand
        self._ended = threading.Event()
        self._error: Exception | None = None

    @property
    def behind(self) -> float:
        if self._error is not None:
            raise self._error
        oldest = min(list(self._missing.values()), default=None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                for message in self._input.consume(1000, POLL_S):
                    self._take(message)
                self._late = self._late or self.behind > BEHIND_S  # outputs that waited with their inputs to be read stood still, too
                for message in self._output.consume(1000, 0.0):
                    self._see(message)
                late = self.behind > BEHIND_S
                if self._late and not late:
                    self._caught_up_at = time.monotonic()
                self._late = late
        except Exception as error:
            self._error = error  # told by whoever asks

    def _take(self, message: Any) -> None:
        if message.error():
            return
        headers = tuple((key, value) for key, value in message.headers() or ())
        place = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
        record = Record(*place, message.key(), message.value() or b"", headers)
        since = time.monotonic() - max(0.0, time.time() - record.timestamp / 1000)  # the tracker, too, may have been cut off
        for output in self._stage.apply(self._states.setdefault(record.partition, Counts()), record, record.timestamp):
            key = msgspec.json.decode(output.value, type=_Id).id
            if key in self._early:
                self._early.discard(key)
            else:
                self._missing[key] = since

    def _see(self, message: Any) -> None:
        if message.error() or not message.value():
            return
        key = msgspec.json.decode(message.value(), type=_Id).id
        if self._missing.pop(key, None) is None:
            self._early.add(key)

    def recovery(self, struck_at: float, within_s: float, meanwhile: Callable[[], None]) -> float:
        """Return the seconds from the fault (time.monotonic) until caught up, once it has shown; `meanwhile` must feed the log.

        What was caught up with before the call counts too: whoever starts brokers again waits for them.
        """
        begun = time.monotonic()
        while time.monotonic() - begun < within_s:
            if not self._late and self._caught_up_at is not None and self._caught_up_at > struck_at:
                return self._caught_up_at - struck_at
            meanwhile()
        raise RuntimeError(f"not caught up after {within_s:.0f} s: {len(self._missing)} outputs are missing, one for {self.behind:.0f} s")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self.join(10)
        for consumer in (self._input, self._output):
            with contextlib.suppress(RuntimeError):
                consumer.close()


def _follow(bootstrap: str, topic: str) -> Consumer:
    """Return a consumer that reads a topic from its beginning and goes on."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "tracker", "enable.auto.commit": False, "fetch.wait.max.ms": 10, "log_level": 0}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    return consumer
