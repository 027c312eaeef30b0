"""How long from the producing of a sample to the anomaly that it decides, at a steady rate.

An anomaly names the raw record whose arrival closed the window that decided; the time is from that record's own stamp, which its
producer's client gave it, to the anomaly's, which the broker gave it: one machine, one clock. That windows wait for their end and
for what may be late is no part of it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.bed import Bed, bed
from bench.figures import Figure, Goal
from bench.load import Load
from bench.meter import Unmeasured
from cli.reading import read
from schemas import topics
from schemas.signals import SIGNALS, Anomaly, Phase
from streams.harness.kafka import KafkaSettings

SLICE_S = 0.02  # samples of so long are written together
WARM_S = 45.0  # until every series has the history that is judged by
GOALS = (Goal("p50", 100, most=True, unit="ms"), Goal("p99", 300, most=True, unit="ms"))


@dataclass
class Plan:
    per_second: int = 50_000
    series: int = 1000
    seconds: float = 120.0  # of anomalies
    high_s: float = 12.0  # that a series stays out of the ordinary
    every_s: float = 0.5  # one falls ill
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Write at the rate, make one series after the other leave its band, and read the anomalies' delays off the logs."""
    with bed() as ours:
        with ours.roles("normalise", "detect") as stack:
            stack.wait_ready(["normalise", "detect"])
            sent, late = _steady(ours, plan)
        delays = sorted(_delays(ours))
    if not delays:
        raise Unmeasured("no anomaly was told of")
    notes = f"{len(delays)} anomalies at {sent:,.0f} samples/s; the writer was at most {late * 1000:.0f} ms late"
    for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
        at = {"series": plan.series, "per_second": plan.per_second}
        yield Figure("latency", name, delays[min(len(delays) - 1, int(share * len(delays)))], "ms", at=at, notes=notes)


def _steady(ours: Bed, plan: Plan) -> tuple[float, float]:
    """Write until the plan is over; return the rate that was reached and how late a slice was at most."""
    load = Load(ours.bootstrap, plan.series)
    rounds = plan.per_second / plan.series  # of all series, a second
    slices = round(1 / (SLICE_S * rounds)) or 1
    begun, number, late = time.time(), 0, 0.0
    ill: deque[tuple[float, int]] = deque()
    turn = 0
    while (now := time.time()) < begun + WARM_S + plan.seconds:
        due = begun + number / (rounds * slices)
        if now < due:
            threading.Event().wait(due - now)
        late = max(late, time.time() - due)
        if number % slices == 0 and now > begun + WARM_S + turn * plan.every_s:
            load.high.add(turn * 7 % plan.series)
            ill.append((now + plan.high_s, turn * 7 % plan.series))
            turn += 1
        while ill and ill[0][0] < now:
            load.high.discard(ill.popleft()[1])
        load.write(range(number % slices, plan.series, slices), int(due * 1000))
        number += 1
    load.flush()
    return load.sent / (time.time() - begun), late


def _delays(ours: Bed) -> list[float]:
    kafka = KafkaSettings(bootstrap=ours.bootstrap)
    found: list[float] = []
    for record in read(kafka, topics.SIGNALS.name):
        event = SIGNALS.validate_json(record.value)
        if isinstance(event, Anomaly) and event.phase is Phase.OPENED and event.source.topic == topics.RAW_METRICS.name:
            cause = next(read(kafka, event.source.topic, event.source.partition, begin=event.source.offset))
            found.append(float(record.timestamp - cause.timestamp))
    return found
