"""Samples by the million: the JSON that prometheus-kafka-adapter writes, from as many series as a second has samples."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Producer

from schemas.topics import RAW_METRICS

SERVICES = 50
VALUES = 4096  # texts made beforehand: formatting a float costs more than sending it
SAY_EVERY = 60  # seconds of event time


@dataclass(frozen=True)
class Shape:
    """`per_second` series, each with a sample a second: a gauge that moves a little about its own level."""

    per_second: int

    def prefixes(self) -> list[bytes]:
        """Return the head of each series' message, up to the time."""
        labels = '{{"labels":{{"__name__":"http_requests_in_flight","instance":"i{0}","job":"load","service":"svc{1}"}},'
        head = labels + '"name":"http_requests_in_flight","timestamp":"'
        return [head.format(number, number % SERVICES).encode() for number in range(self.per_second)]

    def keys(self) -> list[bytes]:
        return [b"i%d" % number for number in range(self.per_second)]


PRODUCER = {
    "linger.ms": 20,
    "batch.num.messages": 50_000,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 1_000_000,
    "compression.type": "lz4",
    "acks": "all",
    "log_level": 0,
}


def texts(seed: int, times: float = 1.0) -> list[bytes]:
    """Return the tails of messages, from the value on, so many times the usual level."""
    chance = random.Random(seed)
    return [f'","value":"{times * (0.4 + 0.02 * chance.random()):.4f}"}}'.encode() for _ in range(VALUES)]


class Traffic:
    """Writes seconds of traffic, as fast as the broker takes them or one a second."""

    def __init__(self, bootstrap: str, shape: Shape, seed: int = 1) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})
        self._prefixes, self._keys, self._texts = shape.prefixes(), shape.keys(), texts(seed)
        self._chance = random.Random(seed)
        self.sent = 0

    def second(self, at_s: int) -> None:
        """Write one sample of every series, with this time."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s)).encode()
        shift, texts, produce = self._chance.randrange(VALUES), self._texts, self._producer.produce
        for number, prefix in enumerate(self._prefixes):
            value = prefix + stamp + texts[(number * 31 + shift) % VALUES]
            while True:
                try:
                    produce(RAW_METRICS.name, value, self._keys[number])
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)
        self.sent += len(self._prefixes)

    def history(self, seconds: int, say: Callable[[str], None]) -> None:
        """Write the last `seconds` seconds at once."""
        begun = int(time.time()) - seconds
        for second in range(seconds):
            self.second(begun + second)
            if second % SAY_EVERY == SAY_EVERY - 1:
                say(f"  {self.sent:,} samples written")
        self.flush()

    def flush(self) -> None:
        if self._producer.flush(300):
            raise RuntimeError("the load's own records were not acknowledged")
