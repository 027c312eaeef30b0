"""detect judges a service by all its kinds together: one more derived series, made at the moments of health."""

from __future__ import annotations

import random

import msgspec
import pytest

from models.detection.state import restore, snapshot
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, AnomalyReason, Health, Phase
from streams.detect import stage
from tests.unit.detect_feed import CONFIG, T0, Log, counter, each_second, fold, read, series, signals

KINDS = (Kind.LATENCY, Kind.MEMORY, Kind.POOL, Kind.CACHE, Kind.SATURATION)
SHOP = [series("shop", kind) for kind in KINDS]
FLOOR = {Kind.LATENCY: 0.5, Kind.MEMORY: 0.2, Kind.POOL: 3.0, Kind.CACHE: 2.0, Kind.SATURATION: 10.0}  # half of its band
LEVEL = {Kind.LATENCY: 1.0, Kind.MEMORY: 1.0, Kind.POOL: 6.0, Kind.CACHE: 10.0, Kind.SATURATION: 10.0}
BEGINS, SECONDS = 900, 1200


def readings(moved: float, seed: int = 1, *, together: float = 0.0) -> list[list[tuple[SeriesDef, float]]]:
    """Rows of each second; from BEGINS on every kind is `moved` bands off; `together`: share of the noise that all have in common."""
    chance = random.Random(seed)
    found = []
    for i in range(SECONDS):
        shared = chance.gauss(0, 1)
        row = []
        for one in SHOP:
            own = (1 - together) * chance.gauss(0, 1) + together * shared
            off = 0.1 * own + (moved if i >= BEGINS else 0.0)
            row.append((one, LEVEL[one.kind] + off * FLOOR[one.kind]))
        found.append(row)
    return found


def log_of(rows: list[list[tuple[SeriesDef, float]]]) -> Log:
    return each_second(len(rows), lambda i: rows[i], *SHOP)


def anomalies(log: Log) -> list[Anomaly]:
    return [one for one in signals(log) if isinstance(one, Anomaly)]


def test_a_joint_small_move_that_no_series_shows_opens_one_anomaly() -> None:
    found = anomalies(log_of(readings(0.7)))
    assert {one.evidence.kind for one in found} == {Kind.COMBINED}
    (opened,) = [one for one in found if one.phase is Phase.OPENED]
    assert opened.evidence.service == "shop"
    assert T0 + 1000 * BEGINS < opened.opened_at <= opened.at <= T0 + 1000 * (BEGINS + 60)
    assert opened.evidence.value > opened.evidence.high


def test_the_same_move_of_a_single_kind_opens_none() -> None:
    rows = readings(0.0)
    for i in range(BEGINS, SECONDS):
        one, value = rows[i][2]
        rows[i][2] = one, value + 0.7 * FLOOR[one.kind]
    assert anomalies(log_of(rows)) == []


@pytest.mark.parametrize("together", [0.0, 0.9])
def test_noise_opens_none_whether_it_is_shared_or_not(together: float) -> None:
    assert anomalies(log_of(readings(0.0, together=together))) == []


def test_it_is_told_with_the_health_records_from_the_first_on() -> None:
    told = [one for one in signals(log_of(readings(0.0)[:700])) if isinstance(one, Health) and one.kind is Kind.COMBINED]
    assert [one.at for one in told] == sorted({one.at for one in told})
    assert {one.series_count for one in told} == {1}
    (last,) = told[-1].series
    assert (last.metric, last.instance, last.service) == ("combined", "", "shop")
    assert 0 <= last.value < last.high
    assert len(told) > 30


def test_a_service_with_one_kind_has_none() -> None:
    pool = SHOP[KINDS.index(Kind.POOL)]
    log = each_second(120, lambda _: [(pool, 6.0)], pool)
    assert {one.kind for one in signals(log) if isinstance(one, Health)} == {Kind.POOL}


def test_it_ends_when_all_is_well_again() -> None:
    rows = readings(0.7)
    rows = [*rows[: BEGINS + 120], *readings(0.0, seed=2)[: SECONDS - BEGINS - 120]]
    phases = [one.phase for one in anomalies(log_of(rows)) if one.phase is not Phase.CONTINUED]
    assert phases == [Phase.OPENED, Phase.CLOSED]


def test_a_lasting_move_is_not_learned() -> None:
    rows = readings(0.7) + readings(0.7, seed=3)[BEGINS:] * 4
    assert [one.phase for one in anomalies(log_of(rows)) if one.phase is not Phase.CONTINUED] == [Phase.OPENED]


def test_the_past_of_a_service_survives_a_restart_to_the_byte() -> None:
    log = log_of(readings(0.7)[: BEGINS + 30])
    state = fold(log)
    saved = snapshot(state)
    again = restore(saved, CONFIG)
    assert snapshot(again) == saved
    assert again.registry.past_of == state.registry.past_of == {"shop": 0}


def test_where_its_series_are_given_up_what_was_open_ends_without_a_recovery() -> None:
    log = log_of(readings(0.7)[: BEGINS + 120])
    log.define(*(msgspec.structs.replace(one, service=f"shop-{one.kind.value}") for one in SHOP))
    for i in range(BEGINS + 120, BEGINS + 150):
        log.rows([(SHOP[0], T0 + 1000 * i, 1.0)])
    found = [one for one in anomalies(log) if one.evidence.kind is Kind.COMBINED and one.phase is Phase.CLOSED]
    assert [one.reason for one in found] == [AnomalyReason.GAVE_UP]
    assert fold(log).registry.past_of == {}


def test_what_lasts_inside_the_bands_for_long_is_the_new_normal_in_the_end() -> None:
    released = CONFIG.model_copy(update={"combined_release_s": 600.0})
    rows = readings(0.7) + readings(0.7, seed=3)[BEGINS:] * 4
    log, one = log_of(rows), stage(released)
    state = one.restore(None)
    said = [s for record in log.records for s in read(one.apply(state, record, record.timestamp)) if isinstance(s, Anomaly)]
    phases = [(s.phase, s.evidence.kind) for s in said if s.phase is not Phase.CONTINUED]
    assert phases == [(Phase.OPENED, Kind.COMBINED), (Phase.CLOSED, Kind.COMBINED)]


@pytest.mark.parametrize("counted", [True, False])
def test_less_load_is_no_harm_though_there_are_fewer_hits(counted: bool) -> None:
    """Given what is not judged because it goes with the load, when the load falls for good, then nothing of it is combined."""
    chance = random.Random(1)
    hits = counter("shop", Kind.CACHE, direction=Direction.DOWN, metric="hits", unit="lookups")
    memory, asked = series("shop", Kind.MEMORY), counter("shop", Kind.REQUESTS, direction=Direction.NONE)
    totals = [0.0, 0.0]

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        load = 100 if i < BEGINS else 20
        totals[0] += 0.8 * load + chance.gauss(0, 3)
        totals[1] += load + chance.gauss(0, 3)
        own = [(hits, totals[0]), (memory, 1 + 0.01 * chance.gauss(0, 1))]
        return own + ([(asked, totals[1])] if counted else [])

    log = each_second(2 * SECONDS, second, hits, memory, *([asked] if counted else []))
    assert Kind.COMBINED not in {one.evidence.kind for one in anomalies(log)}


def test_a_cold_cache_after_a_restart_is_no_harm_until_it_should_be_warm() -> None:
    chance = random.Random(1)
    cache = series("shop", Kind.CACHE, unit="ratio", direction=Direction.DOWN, metric="hit_ratio")
    memory, pool = series("shop", Kind.MEMORY), series("shop", Kind.POOL)
    asked = counter("shop", Kind.REQUESTS)
    total = [0.0]

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        total[0] = 5.0 if i == BEGINS else total[0] + 40 + chance.gauss(0, 2)
        busy = 30.0 if 700 <= i < 715 else 6 + 0.1 * chance.gauss(0, 1)  # in trouble lately: it is looked at every five seconds
        hits = (0.2 if BEGINS <= i < BEGINS + 19 else 0.9) + 0.01 * chance.gauss(0, 1)
        return [(cache, hits), (memory, 1 + 0.01 * chance.gauss(0, 1)), (pool, busy), (asked, total[0])]

    found = anomalies(each_second(SECONDS, second, cache, memory, pool, asked))
    assert [one for one in found if one.at > T0 + 1000 * (BEGINS - 10)] == []


def test_services_that_are_given_up_at_one_moment_go_in_the_order_of_their_names() -> None:
    """However long each was known: a restart does not remember that."""
    hasty = CONFIG.model_copy(update={"min_history": 3, "history_points": 10, "health_s": 1.0, "health_watched_s": 1.0})
    of = {name: [series(name, kind) for kind in (Kind.MEMORY, Kind.POOL, Kind.SATURATION)] for name in "abc"}

    def moved(name: str) -> list[SeriesDef]:
        return [msgspec.structs.replace(one, service=f"{name}-{one.kind.value}") for one in of[name]]

    log, second = Log(), iter(range(1000))

    def feed(names: str, seconds: int, value: float = 1.0) -> None:
        for _ in range(seconds):
            at = T0 + 1000 * next(second)
            log.rows([(one, at, value) for name in names for one in of[name]])

    log.define(*of["a"], *of["b"])
    feed("ab", 5)
    log.define(*moved("a"))
    feed("b", 5)
    log.define(*of["c"])
    feed("bc", 30)
    feed("bc", 6, 99.0)
    restarts = len(log.records)
    log.define(*moved("b"), *moved("c"))
    feed("bc", 6)
    found = []
    for restarted in (False, True):
        one = stage(hasty)
        state, said = one.restore(None), []
        for number, record in enumerate(log.records):
            if restarted and number == restarts:
                state = one.restore(one.snapshot(state))
            said.append(list(one.apply(state, record, record.timestamp)))
        found.append((said, one.snapshot(state)))
    assert found[0] == found[1]


def test_nothing_is_held_for_as_long_as_a_clock_was_ahead() -> None:
    hour, ahead, back = 3_600_000, 20, 7
    other = series("till", Kind.POOL)
    chance, log = random.Random(1), Log().define(*SHOP, other)

    def put(i: int, moved: float, lead: int = 0) -> None:
        rows = [(one, T0 + 1000 * i + lead, LEVEL[one.kind] + (0.1 * chance.gauss(0, 1) + moved) * FLOOR[one.kind]) for one in SHOP]
        log.rows(rows, now=T0 + 1000 * i + lead)

    for i in range(960 + ahead + back):
        put(i, 0.7 if 900 <= i < 960 + ahead else 0.0, hour if i >= 960 else 0)
    end = 960 + ahead + back + 120
    for i in range(960 + ahead + back, end):
        log.rows([(other, T0 + 1000 * i, 1.0)], 1)
        put(i, 0.0)
        if i % 5 == 0:
            log.tick(T0 + 1000 * i)
    slots = fold(log).registry.slots
    assert slots.held[: slots.used].max() <= T0 + 1000 * end + 20_000
