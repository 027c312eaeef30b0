"""detect under the demo's ordinary load: minutes of its rhythm at many services raise no alarm."""

from __future__ import annotations

import math

import numpy as np

from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, Health
from tests.unit.detect_cart import BOUNDS, MB, seconds
from tests.unit.detect_feed import CONFIG, counter, each_second, histogram, series, signals


def shop(seed: int):
    """A service under the demo's load: rhythm of 120 s, ±30 %, 10 % noise; bucketed latency with its p95 at 15 to 25 ms."""
    rng = np.random.default_rng(seed)
    name = f"s{seed}"
    requests, errors = counter(name, Kind.REQUESTS, unit="requests", direction=Direction.NONE), counter(name, Kind.ERRORS, unit="errors")
    cpu, up = counter(name, Kind.CPU, unit="seconds"), series(name, Kind.UP, direction=Direction.DOWN)
    memory, in_use = series(name, Kind.MEMORY, unit="bytes"), series(name, Kind.POOL, unit="ratio")
    cache = series(name, Kind.CACHE, unit="ratio", direction=Direction.DOWN)
    buckets = histogram(name, (*BOUNDS, None))
    defs = [requests, errors, cpu, memory, in_use, cache, up, *buckets]
    totals = {one.id: 0.0 for one in defs}

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        rate = 40 * (1 + 0.3 * math.sin(2 * math.pi * (i + 6 * seed) / 120)) * max(0.2, rng.normal(1, 0.1))
        count = rng.poisson(rate)
        took = rng.gamma(4, 0.002, count) * (1 + 0.3 * rate / 40) + np.where(rng.random(count) < 0.02, rng.uniform(0.02, 0.08, count), 0)
        totals[requests.id] += count
        totals[errors.id] += rng.binomial(count, 0.002)
        totals[cpu.id] += 0.001 * count * rng.uniform(0.8, 1.2)
        for one in buckets:
            totals[one.id] += int((took <= (math.inf if one.le is None else one.le)).sum())
        levels = {
            memory.id: 40 * MB + 5 * MB * (1 - math.exp(-i / 60)) + rng.normal(0, 0.2 * MB),
            in_use.id: min(1.0, rate * 0.0008 * rng.gamma(2, 0.5)),
            cache.id: rng.binomial(200, 0.88) / 200,
            up.id: 1.0,
        }
        return [(one, levels.get(one.id, totals[one.id])) for one in defs]

    return second, defs


def test_ten_minutes_of_the_ordinary_rhythm_raise_no_alarm_at_any_of_twenty_services() -> None:
    shops = [shop(seed) for seed in range(20)]
    log = each_second(600, lambda i: [row for second, _ in shops for row in second(i)], *(one for _, defs in shops for one in defs))
    config = CONFIG.model_copy(update={"health_s": 300.0, "health_watched_s": 300.0})
    found = signals(log, config)
    wrong = [one for one in found if isinstance(one, Anomaly) and config.kinds[one.evidence.kind].opens]
    assert [(one.evidence.service, one.evidence.metric, seconds(one.at)) for one in wrong] == []
    (last,) = [one for one in found if isinstance(one, Health) and (one.service, one.kind) == ("s3", Kind.LATENCY)]
    assert 0.01 < max(reading.baseline for reading in last.series) < 0.03
