"""Follow control logs and hand every record on, in append order per log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from pydantic import TypeAdapter, ValidationError

from schemas import topics
from schemas.actions import ACTION_EVENTS
from schemas.approvals import APPROVAL_EVENTS
from schemas.incidents import INCIDENT_EVENTS
from schemas.outcomes import NOTICE_EVENTS, Outcome
from schemas.signals import SIGNALS

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    topics.SIGNALS.name: SIGNALS,
    topics.INCIDENTS.name: INCIDENT_EVENTS,
    topics.APPROVALS.name: APPROVAL_EVENTS,
    topics.ACTIONS.name: ACTION_EVENTS,
    topics.OUTCOMES.name: TypeAdapter(Outcome),
    topics.NOTICES.name: NOTICE_EVENTS,
}


class Watch:
    """Calls `take(event, append time in ms)` from one thread; stops on `stop()`."""

    def __init__(
        self,
        config: dict[str, Any],
        take: Callable[[object, int], None],
        names: Sequence[str] = tuple(ADAPTERS),
        start: int = OFFSET_BEGINNING,
    ) -> None:
        self._consumer = Consumer({**config, "group.id": "airra-watch", "enable.auto.commit": False, "fetch.wait.max.ms": 50})
        self._take = take
        self._names = names
        self._start = start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._consumer.assign([TopicPartition(name, 0, self._start) for name in self._names])
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(500, 0.1):
                if message.error() is None:
                    self._one(message)
                elif message.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public spelling
                    continue  # the client reconnects by itself

    def _one(self, message: Message) -> None:
        topic, value = message.topic(), message.value()
        if topic is None or value is None or b'"type":"tick"' in value:
            return
        try:
            event = ADAPTERS[topic].validate_json(value)
        except ValidationError:
            return  # the stages' business; here nothing to show
        self._take(event, message.timestamp()[1])
