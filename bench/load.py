"""What the benchmarks send: samples as prometheus-kafka-adapter writes them, a gauge that moves a little about its level."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from confluent_kafka import Producer

from bench.meter import Unmeasured
from schemas.topics import RAW_METRICS
from tests.faults.load.traffic import PRODUCER, VALUES, Shape, texts

LINGER_MS = 5  # what a producer of its own accord waits is part of a latency
HIGH = 50.0  # times its level, of a series that is out of the ordinary: beyond the floor of its kind
FLUSHED_WITHIN_S = 300.0


class Load:
    """Writes samples to the raw topic, keyed by series."""

    def __init__(self, bootstrap: str, series: int, seed: int = 1) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER, "linger.ms": LINGER_MS})
        shape = Shape(series)
        self.series = series
        self._heads, self._keys = shape.prefixes(), shape.keys()
        self._chance = random.Random(seed)
        self._ordinary = texts(seed)
        self._high = texts(seed, HIGH)
        self.high: set[int] = set()  # series that are out of the ordinary now
        self.sent = 0

    def write(self, numbers: Iterable[int], at_ms: int) -> None:
        """Write one sample of each of these series, with this time."""
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_ms // 1000))}.{at_ms % 1000:03d}Z".encode()
        shift, produce, heads, keys, high = self._chance.randrange(VALUES), self._producer.produce, self._heads, self._keys, self.high
        for number in numbers:
            texts = self._high if number in high else self._ordinary
            value = heads[number] + stamp + texts[(number * 31 + shift) % VALUES]
            while True:
                try:
                    produce(RAW_METRICS.name, value, keys[number])
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self.sent += 1
        self._producer.poll(0)

    def history(self, rounds: int, every_s: float = 1.0) -> None:
        """Write the last so many rounds of all series at once, and return when they are acknowledged."""
        begun = int((time.time() - rounds * every_s) * 1000)
        for number in range(rounds):
            self.write(range(self.series), begun + round(number * every_s * 1000))
        self.flush()

    def flush(self) -> None:
        if self._producer.flush(FLUSHED_WITHIN_S):
            raise Unmeasured("the load's own records were not acknowledged")
