"""How much memory a series costs: the roles' resident memory with few and with many series, after the same number of samples.

It is read for some seconds once all is folded and all code is loaded, and the least counts: a snapshot that is being taken is no state.
What is usual at this time of other days is known of a metric of a service, over all its series: that is measured by itself.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import psutil

from bench.bed import bed
from bench.figures import Figure, Goal
from bench.load import Load
from bench.meter import follow
from bench.throughput import WITHIN_S, folded, normalised
from cli import runfile
from cli.demo.stack import Stack
from cli.wiring import LATER_S
from models.detection.leaks import MINUTE_MS, Course, Leaks
from models.detection.usual import Reading, learn, usual
from models.surprise.drift import DAY
from models.surprise.kept import Kept, kept, plain
from models.surprise.rule import rule_of
from models.surprise.season_kernel import HOUR_MS
from schemas.base import derive_id
from schemas.config.score import ScoreRule
from schemas.kinds import Direction, Kind

ROLES = ("normalise", "detect")
FEW = 1_000
SETTLE_S = LATER_S + 5.0  # then each role has loaded what it loads once it has caught up: some 45 MB, that no series takes
READ_FOR_S, READ_EVERY_S = 15.0, 0.1
METRICS, DAYS = 20, 14  # whose season is found
SEASONED = "and its season, of a metric with one series"
GOALS = (
    Goal("normalise and detect", 1024, most=True, unit="bytes a series"),
    Goal(SEASONED, 4096, most=True, unit="bytes a series"),
)


@dataclass
class Plan:
    series: int = 100_000
    rounds: int = 40  # samples of each series: a baseline is judged from its 30th on
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Measure with few series and with many, as many samples both times, on a broker of its own each."""
    few, many = _resident(FEW, plan.series * plan.rounds // FEW, plan), _resident(plan.series, plan.rounds, plan)
    each = {role: (many[role] - few[role]) / (plan.series - FEW) for role in ROLES}
    for role in ROLES:
        yield _figure(
            role, each[role], plan, f"{few[role] / 1e6:,.0f} MB with {FEW:,} series, {many[role] / 1e6:,.0f} MB with {plan.series:,}"
        )
    yield _figure("normalise and detect", sum(each.values()), plan)
    season = seasoned()
    yield _figure(SEASONED, sum(each.values()) + season, plan, f"{season:,.0f} bytes a metric, however many series it has")


def _figure(name: str, value: float, plan: Plan, notes: str = "") -> Figure:
    return Figure("memory", name, value, "bytes a series", at={"series": plan.series, "rounds": plan.rounds}, notes=notes)


def seasoned(metrics: int = METRICS, days: int = DAYS) -> float:
    """Return how many bytes detect keeps of a metric of a service once it has found a day's season in it."""
    leaks = Leaks()
    for number in range(metrics):
        metric = f"metric-{number}"
        leaks.courses[derive_id("lea", metric)] = Course("checkout", Kind.LATENCY, metric, "seconds", Direction.UP)
    config, courses = ScoreRule(), list(leaks.courses.values())
    rule = rule_of(config)
    for minute in range(days * DAY * 60):
        value = math.sin(2 * math.pi * minute / (DAY * 60)) + 0.01 * (minute % 7)
        learn([Reading(one.seen, value, rule) for one in courses], minute * MINUTE_MS)
        if (minute + 1) % 60 == 0:
            for one in courses:
                leak = one.leak.open()
                leak.take(minute // 60, value, config)
                one.leak = Kept(leak)
    assert usual(courses[0].seen, days * DAY * HOUR_MS, 0.0, -1.0) is not None, "no season was found"
    image, decoder = msgspec.msgpack.encode(leaks, enc_hook=plain), msgspec.msgpack.Decoder(Leaks, dec_hook=kept)
    decoder.decode(image)  # what is made at the first time is of no metric
    tracemalloc.start()
    try:
        restored = decoder.decode(image)
        return tracemalloc.get_traced_memory()[0] / len(restored.courses)
    finally:
        tracemalloc.stop()


def _resident(series: int, rounds: int, plan: Plan) -> dict[str, int]:
    with bed() as ours:
        plan.say(f"writing {series * rounds:,} samples of {series:,} series")
        Load(ours.bootstrap, series).history(rounds)
        with ours.roles(*ROLES) as stack:
            follow(lambda: min(normalised(stack), folded(stack)), series * rounds, WITHIN_S)
            time.sleep(SETTLE_S)
            readings = list(_readings(stack))
            return {role: min(one[role] for one in readings) for role in ROLES}


def _readings(stack: Stack) -> Iterator[dict[str, int]]:
    deadline = time.monotonic() + READ_FOR_S
    while time.monotonic() < deadline:
        yield {role: _rss(stack, role) for role in ROLES}
        time.sleep(READ_EVERY_S)


def _rss(stack: Stack, role: str) -> int:
    found = runfile.read(stack.directory, role)
    assert found is not None, f"{role} has ended"
    return int(psutil.Process(found["pid"]).memory_info().rss)
