"""Days in which nothing is wrong through the real pipeline, some at a time; and at the end of each run a fault, which must be found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace

import numpy as np

from cli.backtest.days.fitted import Fitted
from cli.backtest.days.pipeline import Pipeline
from cli.backtest.days.requests import Requests
from cli.backtest.days.simulate import CHUNK_S, DAY_S, Chunk, Days
from schemas.kinds import Kind, MetricType
from schemas.settings import Settings
from streams.normalise.formats.choice import FORMAT_HEADER

BEGIN = 1_767_225_600  # a Thursday, 2026-01-01, s
LONGEST = 7  # days of one run
TOGETHER = 10  # requests that are read at once
FAULT_S = CHUNK_S  # how long the fault at the end lasts
SLOWER = 8  # then every request of one service falls into a bucket so many further up
HEADERS = ((FORMAT_HEADER, b"remote-write"), ("content-encoding", b"snappy"))


@dataclass(frozen=True)
class Told:
    """What a run of some days brought about."""

    days: float
    samples: int
    refused: int
    anomalies: Counter[Kind]
    incidents: list[str]  # their titles, with the day and time
    found_s: float | None  # the fault at the end: after so long; None: missed


def runs(fitted: Fitted, settings: Settings, days: int, seed: int, jobs: int, say: Callable[[str], None]) -> Iterator[Told]:
    """Divide the days among runs, each with a seed of its own; yield what each brought about, as it ends."""
    count = jobs * -(-days // (LONGEST * jobs))  # as many at the end as at the beginning
    shares = [days // count + (number < days % count) for number in range(count)]
    say(f"{len(fitted.series)} series of {len(fitted.services)} services, {days} days in {count} runs, {jobs} at a time")
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(one_run, fitted, settings, share, seed + number) for number, share in enumerate(shares) if share]
        for done in as_completed(running):
            yield done.result()


def one_run(fitted: Fitted, settings: Settings, days: float, seed: int) -> Told:
    simulated, requests = Days(fitted, BEGIN, seed), Requests(fitted.series)
    pipeline = Pipeline(settings, BEGIN * 1000)
    chunks = round(days * DAY_S / CHUNK_S)
    for number in range(chunks):
        feed(pipeline, requests, simulated.chunk(number))
    quiet = list(pipeline.opened)
    anomalies = Counter(pipeline.anomalies)
    begin = int(simulated.begin + chunks * CHUNK_S)
    feed(pipeline, requests, broken(simulated.chunk(chunks), fitted))
    late = [incident.at / 1000 - begin for incident in pipeline.opened[len(quiet) :]]
    titles = [f"day {(one.at / 1000 - BEGIN) / DAY_S:.3f}: {one.title}" for one in quiet]
    return Told(chunks * CHUNK_S / DAY_S, pipeline.samples, pipeline.refused.total(), anomalies, titles, min(late, default=None))


def feed(pipeline: Pipeline, requests: Requests, chunk: Chunk) -> None:
    for first in range(0, len(chunk.at), TOGETHER):
        some = range(first, min(first + TOGETHER, len(chunk.at)))
        records = [requests.of(int(chunk.at[row]) * 1000, chunk.values[row], chunk.there[row]) for row in some]
        pipeline.take(records, HEADERS, int(chunk.at[some[-1]]) * 1000)


def broken(chunk: Chunk, fitted: Fitted) -> Chunk:
    """Let the requests of the service with the most of them take longer: what fell into a bucket falls into one further up."""
    buckets = [place for place, one in enumerate(fitted.series) if one.part == "bucket" and one.kind is Kind.LATENCY]
    rises = {place: float(chunk.values[-1, place] - chunk.values[0, place]) for place in buckets}
    worst = fitted.series[max(rises, key=lambda place: rises[place])]
    mine = sorted((p for p in buckets if fitted.series[p].group == worst.group), key=lambda p: _bound(fitted, p))
    values = chunk.values.copy()
    before = chunk.values[0, mine]
    for place, of in zip(reversed(mine[:-1]), reversed([*[None] * SLOWER, *mine][: len(mine) - 1]), strict=True):
        rise = 0.0 if of is None else chunk.values[:, of] - before[mine.index(of)]
        values[:, place] = before[mine.index(place)] + rise
    return replace(chunk, values=values)


def _bound(fitted: Fitted, place: int) -> float:
    le = fitted.series[place].le
    return np.inf if le is None else le


def has_latency(fitted: Fitted) -> bool:
    """Tell whether there is a histogram of latency, without which no fault can be put in at the end."""
    return any(one.type is MetricType.HISTOGRAM and one.part == "bucket" and one.kind is Kind.LATENCY for one in fitted.series)


def most_likely_below(count: int) -> float:
    """Return the Poisson mean of which so few or fewer are seen once in twenty: with 95 % confidence the true one is below."""
    low, high = 0.0, 10.0 * (count + 1)
    while high - low > 1e-9:
        mean = (low + high) / 2
        seen = sum(math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) for number in range(count + 1))
        low, high = (mean, high) if seen > 0.05 else (low, mean)
    return high
