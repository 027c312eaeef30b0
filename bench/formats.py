"""How many samples a second normalise takes from records that hold many: remote_write 1.0 and OTLP, as their senders batch them.

A record holds a sample of each series. Some hundred records are written again and again: normalise keeps nothing of their times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Producer

from bench.bed import bed
from bench.figures import Figure, Goal
from bench.load import FLUSHED_WITHIN_S
from bench.meter import Unmeasured, follow, rate
from bench.throughput import WITHIN_S, normalised
from schemas.topics import RAW_METRICS
from streams.normalise.formats.choice import FORMAT_HEADER
from tests.faults.load.traffic import PRODUCER
from tests.unit import otlp_messages, prometheus_messages

DIFFERENT = 100  # records
SERVICES = 50
METRIC = "http_requests_in_flight"
GOALS = (Goal("remote-write", 1_000_000, unit="samples/s"), Goal("otlp", 1_000_000, unit="samples/s"))


@dataclass
class Plan:
    samples: int = 10_000_000
    series: int = 1000
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Measure one format after the other, each with a broker of its own."""
    for name, record in FORMATS.items():
        with bed() as ours:
            plan.say(f"writing {plan.samples:,} samples of {plan.series:,} series in {name}")
            size = _write(ours.bootstrap, plan, record)
            with ours.roles("normalise") as stack:
                readings = follow(lambda stack=stack: normalised(stack), plan.samples, WITHIN_S)  # type: ignore[misc]
        at = {"series": float(plan.series), "samples": float(plan.samples)}
        yield Figure("formats", name, rate(readings, plan.samples), "samples/s", at=at, notes=f"{size:,} bytes a record")


@dataclass(frozen=True)
class Format:
    write: Callable[[int, int], bytes]  # a record of so many series with this time
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def _write(bootstrap: str, plan: Plan, record: Format) -> int:
    """Write the records to each partition in turn; return the size of one."""
    producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})
    now = int(time.time() * 1000)
    ready = [record.write(plan.series, now - 1000 * number) for number in range(DIFFERENT)]
    for number in range(plan.samples // plan.series):
        while True:
            try:
                producer.produce(
                    RAW_METRICS.name, ready[number % DIFFERENT], partition=number % RAW_METRICS.partitions, headers=record.headers
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(FLUSHED_WITHIN_S):
        raise Unmeasured("the load's own records were not acknowledged")
    return len(ready[0])


def remote_write(series: int, at_ms: int) -> bytes:
    """Return a request with one sample of each series, as the API puts it on Kafka."""
    found = (prometheus_messages.series(_labels(one), (at_ms, _value(one, at_ms))) for one in range(series))
    return prometheus_messages.pack(prometheus_messages.request(*found))


def otlp(series: int, at_ms: int) -> bytes:
    """Return an export with one data point of each series, a resource for each service."""
    resources = []
    for service in range(SERVICES):
        points = [
            otlp_messages.point(_value(one, at_ms), {"instance": f"i{one}", "job": "load"}, time_unix_nano=at_ms * 1_000_000)
            for one in range(service, series, SERVICES)
        ]
        resources.append(otlp_messages.resource(otlp_messages.gauge(METRIC, *points), labels={"service.name": f"svc{service}"}))
    return otlp_messages.export(*resources)


def _labels(one: int) -> dict[str, str]:
    return {"__name__": METRIC, "instance": f"i{one}", "job": "load", "service": f"svc{one % SERVICES}"}


def _value(one: int, at_ms: int) -> float:
    return 0.4 + 0.0001 * ((one * 31 + at_ms // 1000) % 200)


FORMATS = {
    "remote-write": Format(remote_write, [(FORMAT_HEADER, b"remote-write"), ("content-encoding", b"snappy")]),
    "otlp": Format(otlp),  # its exporters say nothing
}
