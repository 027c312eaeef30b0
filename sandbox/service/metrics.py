"""What a service says about itself on /metrics, under the names that its owner chose."""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

# Each at most 1.5 times the one before, up to 1.5 s: a p95 read from a bucket is off by up to the bucket's width, and with wider
# ones a single request across a bound takes an ordinary tail out of a band of ± 50 %.
BUCKETS = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)
STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return this process's resident memory."""
    if STATM.exists():
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return int(psutil.Process().memory_info().rss)


class Metrics(Collector):
    """Counts requests, and reads the gauges when asked."""

    def __init__(self, names: dict[str, str], labels: dict[str, str], gauges: dict[str, Callable[[], float]]) -> None:
        self._names = names
        self._counted_by_histogram = names["requests"] == f"{names['latency']}_count"  # as Spring does
        self._labels = labels
        self._gauges = {"memory": resident_bytes, **gauges}
        self._requests = 0
        self._errors = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def served(self, seconds: float, *, failed: bool) -> None:
        self._requests += 1
        self._errors += failed
        self._buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def refused(self) -> None:
        """Count a request that was turned away: an error, but not a duration, for nothing was done."""
        if self._counted_by_histogram:
            self.served(0.0, failed=True)
            return
        self._requests += 1
        self._errors += 1

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        if not self._counted_by_histogram:
            yield self._one("requests", "Requests received.", self._requests)
        yield self._one("errors", "Requests answered with a 5xx.", self._errors)
        yield self._latency()
        yield self._one("cpu", "CPU seconds used by the process.", time.process_time())
        for role, read in self._gauges.items():
            yield self._one(role, f"{role} of the service.", read())

    def _one(self, role: str, text: str, value: float) -> Metric:
        # Untyped where the name has not the counter's suffix: the client library would add it, and the name is the owner's.
        counter = role in {"requests", "errors", "cpu"} and self._names[role].endswith("_total")
        kind = "counter" if counter else "unknown" if role in {"requests", "errors", "cpu"} else "gauge"
        metric = Metric(self._names[role].removesuffix("_total") if counter else self._names[role], text, kind)
        metric.add_sample(self._names[role], self._labels, value)
        return metric

    def _latency(self) -> Metric:
        name = self._names["latency"]
        metric = Metric(name, "Time to answer a request.", "histogram")
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        counts = list(accumulate(self._buckets))
        for bound, count in zip(bounds, counts, strict=True):
            metric.add_sample(f"{name}_bucket", {**self._labels, "le": bound}, count)
        metric.add_sample(f"{name}_count", self._labels, counts[-1])
        metric.add_sample(f"{name}_sum", self._labels, self._seconds)
        return metric
