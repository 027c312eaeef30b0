"""detect judges a service by all its kinds together: one more derived series, made at the moments of health."""

from __future__ import annotations

import random

import msgspec
import pytest

from models.detection.state import restore, snapshot
from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, AnomalyReason, Health, Phase
from tests.unit.detect_feed import CONFIG, T0, Log, each_second, fold, series, signals

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
