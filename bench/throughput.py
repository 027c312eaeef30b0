"""How many samples a second: the limit, the peers and AIRRA, one after the other over the same backlog on an Apache Kafka.

A message is a sample as prometheus-kafka-adapter writes it; `series` series have a sample a second of event time each, keyed by series.
The broker and what is measured share the machine's cores. Rates are taken from the first samples to the last: no start-up is in them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from confluent_kafka import Consumer

from bench.bed import PEERS, Bed, Peer, bed
from bench.figures import Figure, Goal
from bench.load import Load
from bench.meter import Reading, Unmeasured, follow, rate, total
from cli.demo.stack import Stack
from schemas.topics import RAW_METRICS
from streams.normalise.consumer import BATCH_RECORDS

WITHIN_S = 600.0
GOALS = (
    Goal("normalise and detect", 6.0, "quix"),
    Goal("normalise and detect", 2.5, "bytewax"),
    Goal("normalise", 0.25, "consume only"),
    Goal("detect", 1_000_000, unit="samples/s"),
    Goal("detect, many series", 500_000, unit="samples/s"),
    Goal("snapshots of detect", 5, most=True, unit="% of its time"),
)
MANY, MANY_ROUNDS = 100_000, 10  # series, and of how many rounds the backlog of those is at least
SLOW = {"faust": 50, "quix": 4}  # a peer that is so much slower is given so much less of the backlog
MODULES = {
    "quix": (PEERS, "bench.peers.quix"),
    "bytewax": (PEERS, "bench.peers.wax"),
    "faust": (Path(sys.executable), "bench.peers.faust_samples"),
}


@dataclass
class Plan:
    samples: int = 5_000_000
    series: int = 1000
    peers: tuple[str, ...] = tuple(MODULES)
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Measure one thing after the other; what is not there (a peer that is not installed) is said and passed over."""
    with bed() as ours:
        _write(ours, plan)
        yield limit(ours, plan)
        for peer in plan.peers:
            if not MODULES[peer][0].exists():
                plan.say(f"{peer}: not installed; `make bench-setup` installs the peers")
                continue
            yield beside(ours, peer, plan)
        yield from apart(ours, plan)
    with bed() as ours:
        _write(ours, plan)
        yield together(ours, plan)
    with bed() as ours:
        yield many(ours, replace(plan, series=MANY, samples=max(plan.samples // MANY, MANY_ROUNDS) * MANY))


def _figure(name: str, value: float, plan: Plan, unit: str = "samples/s") -> Figure:
    return Figure("throughput", name, value, unit, at={"series": plan.series, "samples": plan.samples})


def _write(ours: Bed, plan: Plan) -> None:
    plan.say(f"writing {plan.samples:,} samples of {plan.series:,} series")
    Load(ours.bootstrap, plan.series).history(plan.samples // plan.series)


def limit(ours: Bed, plan: Plan) -> Figure:
    """Only take the messages out of the client library, with the settings that normalise has."""
    consumer = Consumer(
        {
            "bootstrap.servers": ours.bootstrap,
            "group.id": "bench-limit",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 400_000,
            "log_level": 0,
        }
    )
    consumer.subscribe([RAW_METRICS.name])
    readings, count = [Reading(time.monotonic(), 0)], 0
    with contextlib.closing(consumer):
        while count < plan.samples:
            count += sum(message.error() is None for message in consumer.consume(BATCH_RECORDS, 1.0))
            readings.append(Reading(time.monotonic(), count))
    return _figure("consume only", rate(readings, plan.samples), plan)


def beside(ours: Bed, name: str, plan: Plan) -> Figure:
    """Let a peer fold as much of the backlog as it is given."""
    share = plan.samples // SLOW.get(name, 1)
    with contextlib.closing(Peer(*MODULES[name], ours, RAW_METRICS.name)) as peer:
        try:
            follow(peer.count, share, WITHIN_S, peer.alive)
        except Unmeasured as error:
            raise Unmeasured(f"{name}: {error}: {peer.last_words()}") from error
        return _figure(name, rate(peer.readings(), share), plan)


def apart(ours: Bed, plan: Plan) -> Iterator[Figure]:
    """Normalise alone over the raw backlog, then detect alone over the batches that it made."""
    with ours.roles("normalise") as stack:
        readings = follow(lambda: normalised(stack), plan.samples, WITHIN_S)
    yield _figure("normalise", rate(readings, plan.samples), plan)
    with ours.roles("detect") as stack:
        readings = follow(lambda: folded(stack), plan.samples, WITHIN_S)
        cost_s = total(stack.address("detect", "observe_port"), "airra_harness_snapshot_cost_seconds_total", stage="detect")
    yield _figure("detect", rate(readings, plan.samples), plan)
    took_s = readings[-1].at - next(one.at for one in readings if one.count)
    yield _figure("snapshots of detect", 100 * cost_s / took_s, plan, "% of its time")


def together(ours: Bed, plan: Plan) -> Figure:
    """Normalise and detect at once: from the first sample that is normalised until the last is folded."""
    begun: list[Reading] = []
    with ours.roles("normalise", "detect") as stack:

        def count() -> float:
            if not begun and (first := normalised(stack)):
                begun.append(Reading(time.monotonic(), first))
            return folded(stack)

        readings = follow(count, plan.samples, WITHIN_S)
    took = readings[-1].at - begun[0].at
    return _figure("normalise and detect", (plan.samples - begun[0].count) / took, plan)


def many(ours: Bed, plan: Plan) -> Figure:
    """Let detect alone fold the batches of many series, from the first on: that they are all new then is in the rate."""
    _write(ours, plan)
    with ours.roles("normalise") as stack:
        follow(lambda: normalised(stack), plan.samples, WITHIN_S)
    with ours.roles("detect") as stack:
        readings = follow(lambda: folded(stack), plan.samples, WITHIN_S)
    return _figure("detect, many series", rate(readings, plan.samples), plan)


def normalised(stack: Stack) -> float:
    return total(stack.address("normalise", "observe_port"), "airra_normalise_samples_total")


def folded(stack: Stack) -> float:
    """Return how many rows detect has taken: those that had their fate, and those that wait for their window."""
    port = stack.address("detect", "observe_port")
    return total(port, "airra_detect_rows_total") + total(port, "airra_detect_pending_rows")
