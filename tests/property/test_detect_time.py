"""Event time: disorder, repeats, wrong clocks and backfills change nothing of what is detected beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from models.detection.rows import Waiting
from models.detection.sources import Sources
from models.detection.state import DetectState, restore, snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, AnomalyReason, Phase
from streams.harness.fold import BACKFILL_HEADER
from tests.unit.detect_feed import CONFIG, T0, Log, counter, histogram, series, tolds

QUICK = CONFIG.model_copy(update={"min_history": 5, "history_points": 10, "history_s": 20.0, "max_lag_s": 5.0})
FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])

POOL = series("cart", Kind.POOL, unit="ratio")
REQUESTS, ERRORS = counter("cart", Kind.REQUESTS, direction=Direction.NONE), counter("cart", Kind.ERRORS)
BUCKETS = histogram("shop", (0.1, 0.5, None))
SKEWED = series("skewed", Kind.POOL, unit="ratio")
DEFS = [POOL, REQUESTS, ERRORS, *BUCKETS, SKEWED]
PARTITION = {**dict.fromkeys((one.id for one in DEFS), 0), **dict.fromkeys((one.id for one in BUCKETS), 1), SKEWED.id: 2}
SECONDS = 40
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

Second = list[tuple[SeriesDef, int, float]]  # the rows of one second


@st.composite
def days(draw: st.DrawFn) -> list[Second]:
    """A short day: levels that jump every ten seconds, one counter that begins anew, seconds in which a service says nothing."""
    levels = draw(st.lists(st.sampled_from([0.1, 0.1, 0.9]), min_size=3, max_size=3).filter(lambda drawn: 0.9 in drawn))
    away = draw(st.sets(st.integers(12, SECONDS - 1), max_size=7))
    restart = draw(st.integers(0, 2 * SECONDS))
    totals = dict.fromkeys((one.id for one in DEFS), 0.0)
    found = []
    for i in range(SECONDS):
        level = 0.1 if i < 10 else levels[(i - 10) // 10]
        if i == restart:
            totals = dict.fromkeys(totals, 0.0)
        second: Second = []
        for n, one in enumerate(DEFS):
            totals[one.id] += 30 * (level if one in (ERRORS, BUCKETS[0]) else 1) * (n + 1)
            if i in away and one.service == "shop":
                continue
            second.append((one, T0 + 1000 * i + 40 * n, level if one.kind is Kind.POOL else totals[one.id]))
        found.append(second)
    return found


def live(
    day: list[Second], *, partition: dict[int, int] | None = None, skew_ms: int = 0, stamped: bool = False, every_ms: int = 1000
) -> Log:
    """Write the day as it comes, a batch a second (or every_ms) and source; SKEWED's clock is off, and its records' times too where `stamped` says so."""
    partition = partition or PARTITION
    log = Log().define(*DEFS)
    for i, second in enumerate([*day, [], [], []]):
        now = T0 + every_ms * i + 500
        for number in sorted(set(partition.values()), reverse=True):
            rows = [(one, at + (skew_ms if one is SKEWED else 0), value) for one, at, value in second if partition[one.id] == number]
            if rows:
                log.rows(rows, number, now + max(0, skew_ms) if stamped and rows[0][0] is SKEWED else now)
        if i * every_ms % 5000 == 0:
            log.tick(now)
    for i in range(4):
        log.tick(T0 + every_ms * len(day) + 5000 + 10_000 * i)
    return log


def detected(log: Log, *but: str, config: DetectConfig = QUICK) -> tuple[list[Anomaly], DetectState]:
    """Say what was detected, but for which record was there when it was, and for the services whose clocks are wrong; and the state."""
    state = restore(None, config)
    told = [one for told in tolds(log.records, config, state) for one in told.signals if isinstance(one, Anomaly)]
    return sorted(
        (one.model_copy(update={"source": None}) for one in told if one.evidence.service not in but), key=lambda one: (one.at, one.id)
    ), state


def in_order(rows: list[tuple[SeriesDef, int, float]], keys: list[float]) -> Log:
    log = Log().define(*DEFS)
    for _, (one, at, value) in sorted(zip(keys, rows, strict=True), key=lambda item: item[0]):
        log.rows([(one, at, value)], PARTITION[one.id], T0 + DAY_MS)
    for number in range(3):
        log.rows([(SKEWED, T0 + 1000 * SECONDS + 9000, 0.1)], number, T0 + DAY_MS)
    return log


@FEW
@given(days(), st.randoms(use_true_random=False))
def test_shuffling_within_the_buffer_changes_no_detection_and_no_state(day: list[Second], random: Random) -> None:
    rows = [row for second in day for row in second]
    plain = in_order(rows, [at for _, at, _ in rows])
    shuffled = in_order(rows, [at + 999 * random.random() for _, at, _ in rows])
    (first, state), (second, other) = detected(plain), detected(shuffled)
    assert second == first
    for one in (state, other):
        one.waiting, one.sources = (
            Waiting(),
            Sources.of(one.sources.config, [], [], one.sources.tick),
        )  # what waits, and the order in which it came, may differ
    assert snapshot(other) == snapshot(state)


@FEW
@given(days(), st.randoms(use_true_random=False))
def test_tripling_everything_changes_no_detection(day: list[Second], random: Random) -> None:
    rows = [row for second in day for row in second]
    plain = in_order(rows, [at for _, at, _ in rows])
    keys = [float(at) for _, at, _ in rows]
    again = [at + random.choice([0.0, 0.5, 300.0, 2000.0, 9000.0]) for at in keys + keys]  # the first of them beside it, or long after
    assert detected(in_order(rows * 3, keys + again))[0] == detected(plain)[0]


@pytest.mark.parametrize(("shared", "stamped"), [(False, False), (False, True), (True, False)])
@FEW
@given(days(), st.sampled_from([HOUR_MS, -HOUR_MS, 6000, -4000, 3 * DAY_MS]))
def test_a_producer_whose_clock_is_wrong_changes_no_other_detection(shared: bool, stamped: bool, day: list[Second], skew_ms: int) -> None:
    """Given a wrong clock, in a source of its own or beside others in one, then nothing of theirs is found otherwise or at another time."""
    partition = PARTITION if not shared else {**PARTITION, SKEWED.id: 0}
    right, wrong = (live(day, partition=partition, skew_ms=skew, stamped=stamped) for skew in (0, skew_ms))
    (first, state), (second, other) = detected(right, "skewed"), detected(wrong, "skewed")
    assert second == first
    heard = [one.registry.units.times[:4].tolist() for one in (state, other)]
    assert heard[1] == heard[0], "each window of the others was closed in its time"


@FEW
@given(days(), st.sampled_from([2500, 4000]))
def test_a_producer_that_is_ahead_by_less_than_the_clamp_makes_nobody_late_who_shares_its_source(day: list[Second], skew_ms: int) -> None:
    partition = dict.fromkeys(PARTITION, 0)
    (first, state), (second, other) = (detected(live(day, partition=partition, skew_ms=skew), "skewed") for skew in (0, skew_ms))
    end = T0 + 1000 * SECONDS  # time goes on behind it in the one alone, by the rows that are ahead
    assert [one for one in second if one.at < end] == [one for one in first if one.at < end]
    heard = [one.registry.units.times[:4].tolist() for one in (state, other)]
    assert heard[1] == heard[0], "each window of the others was closed in its time"


@FEW
@given(days(), st.lists(st.integers(1, SECONDS), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_backfill_at_once_finds_what_was_found_live(day: list[Second], lengths: list[int], one_by_one: bool, marked: bool) -> None:
    """Given a day that is written at once, in long batches of one source after another, then its anomalies are those of the day."""
    log = Log().define(*DEFS)
    if one_by_one:
        lengths = [SECONDS]
    partition = PARTITION if marked else dict.fromkeys(PARTITION, 0)
    begin = 0
    while begin < SECONDS:
        length = lengths[begin % len(lengths)]
        for number in sorted(set(partition.values())):
            rows = [row for second in day[begin : begin + length] for row in second if partition[row[0].id] == number]
            if rows:
                log.rows(rows, number, T0 + DAY_MS)
        begin += length
    for number in sorted(set(partition.values())):
        log.rows([(SKEWED, T0 + 1000 * SECONDS + 9000, 0.1)], number, T0 + DAY_MS)
    if marked:
        log.records[1:] = [replace(one, headers=(*one.headers, (BACKFILL_HEADER, b"1"))) for one in log.records[1:]]
    assert detected(log)[0] == detected(live(day))[0]


def whole_day(random: Random, every_ms: int) -> list[Second]:
    """A day and night: load that rises and falls, faults of some minutes, three restarts, a service that is away now and then."""
    steps = DAY_MS // every_ms
    faults = [(begin, begin + random.randint(20, 90)) for begin in (random.randrange(steps) for _ in range(12))]
    away = {begin + i for begin in (random.randrange(steps) for _ in range(4)) for i in range(40)}
    restarts = {random.randrange(steps) for _ in range(3)}
    totals = dict.fromkeys((one.id for one in DEFS), 0.0)
    found = []
    for i in range(steps):
        level = 0.9 if any(begin <= i < end for begin, end in faults) else 0.1
        load = 300 * (1.2 + math.sin(2 * math.pi * i / steps))
        if i in restarts:
            totals = dict.fromkeys(totals, 0.0)
        second: Second = []
        for n, one in enumerate(DEFS):
            totals[one.id] += load * (level if one in (ERRORS, BUCKETS[0]) else 1) * (n + 1)
            if i not in away or one.service != "shop":
                value = level + random.gauss(0, 0.01) if one.kind is Kind.POOL else totals[one.id]
                second.append((one, T0 + every_ms * i + 40 * n, value))
        found.append(second)
    return found


def test_a_whole_day_written_at_once_is_judged_as_it_was_live() -> None:
    """Given two sources, one after the other: what falls silent does so in the first, where that is told of history too."""
    every_ms, together, partition = 30_000, 300, {one.id: int(one is SKEWED) for one in DEFS}
    calm = QUICK.model_copy(
        update={"min_history": 20, "history_points": 30, "history_s": 1800.0, "max_lag_s": 180.0, "idle_s": 360.0, "silence_s": 90.0}
    )
    day = whole_day(Random(5), every_ms)
    log = Log().define(*DEFS)
    for begin in range(0, len(day), together):
        rows = [row for second in day[begin : begin + together] for row in second]
        for number in (0, 1):
            log.rows([row for row in rows if partition[row[0].id] == number], number, T0 + DAY_MS)
    for number in (0, 1):
        log.rows([(SKEWED, T0 + DAY_MS + 9000, 0.1)], number, T0 + DAY_MS)
    log.records[1:] = [replace(one, headers=(*one.headers, (BACKFILL_HEADER, b"1"))) for one in log.records[1:]]
    at_once, _ = detected(log, config=calm)
    was, _ = detected(live(day, partition=partition, every_ms=every_ms), config=calm)
    assert at_once == was
    opened = [one for one in was if one.phase is Phase.OPENED]
    assert len(opened) > 20
    assert {one.reason for one in opened} == {AnomalyReason.SHIFT, AnomalyReason.SILENCE}
