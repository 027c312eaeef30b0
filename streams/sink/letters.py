"""Send the sink's dead letters, and wait until the broker has them: nothing is committed before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from streams.harness.errors import Retryable
from streams.harness.stage import Output

ACKNOWLEDGED_WITHIN_S = 10.0
# Not idempotent: the embedded broker has no such producers, and a letter that is sent twice has one id.
_CONFIG: dict[str, Any] = {"acks": "all", "message.max.bytes": 12 * 1024 * 1024, "delivery.timeout.ms": 8_000}


class Letters:
    """A producer that is made with the first letter: most sinks never need one."""

    def __init__(self, connection: dict[str, Any], make_producer: Callable[[dict[str, Any]], Any] = Producer) -> None:
        self._connection = connection
        self._make_producer = make_producer
        self._producer: Any = None

    def send(self, outputs: Sequence[Output]) -> None:
        """Send and return once all are acknowledged; raises Retryable, and then some may have arrived."""
        if not outputs:
            return
        if self._producer is None:
            self._producer = self._make_producer({**_CONFIG, **self._connection})
        failed: list[Any] = []

        def heard(error: Any, _message: Any) -> None:
            if error is not None:
                failed.append(error)

        try:
            for output in outputs:
                self._producer.produce(output.topic, value=output.value, key=output.key, headers=list(output.headers), on_delivery=heard)
            left = self._producer.flush(ACKNOWLEDGED_WITHIN_S)
        except (KafkaException, BufferError) as error:
            raise Retryable(f"dead letters: {error}") from error
        if failed or left:
            raise Retryable(f"dead letters: {failed[0].str() if failed else f'{left} not acknowledged'}")
