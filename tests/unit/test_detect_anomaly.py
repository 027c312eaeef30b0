"""detect's anomalies: what opens one, by when and with which band, what goes on with it and closes it, and what is ordinary."""

from __future__ import annotations

import itertools
import math

import pytest

from models.detection.univariate import Univariate
from schemas.kinds import Direction, Kind
from schemas.signals import Health, Phase
from tests.unit.detect_cart import CACHE, MB, MEMORY, POOL, pool, seconds
from tests.unit.detect_feed import CONFIG, T0, anomalies, each_second, phases, series, signals


def test_a_step_opens_within_six_seconds_and_names_the_series() -> None:
    log = each_second(90, lambda i: [(POOL, pool(0.9 if i >= 60 else 0.1, i))], POOL)
    (opened,) = phases(log, Phase.OPENED)
    assert seconds(opened.at) <= 66
    assert seconds(opened.opened_at) == 60.3
    assert opened.evidence.kind is Kind.POOL
    assert opened.evidence.series == f"{POOL.id:016x}"
    assert opened.evidence.z > 3
    assert opened.evidence.low < 0.1 < opened.evidence.high < 0.9
    assert len(opened.evidence.points) == 10


def test_the_band_of_a_departure_stays_that_of_before_and_a_lasting_fault_is_not_absorbed() -> None:
    log = each_second(60 + 600, lambda i: [(POOL, pool(0.9 if i >= 60 else 0.1, i))], POOL)
    found = anomalies(log)
    assert [one.phase for one in found if one.phase is not Phase.CONTINUED] == [Phase.OPENED]
    assert len({one.anomaly for one in found}) == 1
    continued = [one for one in found if one.phase is Phase.CONTINUED]
    assert len(continued) >= 58
    assert all(later.at - earlier.at == 10_000 for earlier, later in itertools.pairwise(continued))
    assert continued[-1].evidence.baseline == pytest.approx(0.1, abs=0.02)


def test_a_recovery_closes_the_same_anomaly() -> None:
    log = each_second(140, lambda i: [(POOL, pool(0.9 if 60 <= i < 100 else 0.1, i))], POOL)
    opened, closed = (phases(log, phase)[0] for phase in (Phase.OPENED, Phase.CLOSED))
    assert closed.anomaly == opened.anomaly
    assert 104 <= seconds(closed.at) <= 110
    assert closed.evidence.peak_z >= opened.evidence.z
    assert len(anomalies(log)) == 2 + len(phases(log, Phase.CONTINUED))


def test_after_the_release_a_lasting_level_of_context_becomes_the_baseline() -> None:
    context = series("cart", Kind.OTHER, direction=Direction.UP)
    others = CONFIG.kinds[Kind.OTHER].model_copy(update={"release_s": 60})
    config = CONFIG.model_copy(update={"kinds": {**CONFIG.kinds, Kind.OTHER: others}, "history_s": 60})
    log = each_second(600, lambda i: [(context, pool(0.9 if i >= 60 else 0.1, i))], context)
    (closed,) = phases(log, Phase.CLOSED, config)
    assert seconds(closed.at) > 180


def test_a_leak_is_seen_and_ordinary_growth_after_a_start_is_not() -> None:
    grown = lambda i: 40 * MB + 6 * MB * (1 - math.exp(-i / 30))  # noqa: E731
    quiet = each_second(300, lambda i: [(MEMORY, grown(i))], MEMORY)
    assert anomalies(quiet) == []
    leak = each_second(100, lambda i: [(MEMORY, grown(i) + 8 * MB * max(0, i - 60))], MEMORY)
    (opened,) = phases(leak, Phase.OPENED)
    assert seconds(opened.at) <= 69


def test_a_flat_series_has_a_floor_and_a_step_below_it_is_ordinary() -> None:
    assert anomalies(each_second(200, lambda i: [(POOL, 0.1 + (0.25 if i >= 60 else 0))], POOL)) == []
    assert len(phases(each_second(200, lambda i: [(POOL, 0.1 + (0.35 if i >= 60 else 0))], POOL), Phase.OPENED)) == 1


def test_only_the_bad_direction_counts() -> None:
    assert anomalies(each_second(200, lambda i: [(CACHE, 0.4 if i < 60 else 0.95)], CACHE)) == []
    (opened,) = phases(each_second(90, lambda i: [(CACHE, 0.9 if i < 60 else 0.1)], CACHE), Phase.OPENED)
    assert opened.evidence.z < -3
    assert opened.evidence.peak_z < -3


def test_nothing_is_judged_before_there_is_a_history() -> None:
    assert anomalies(each_second(29, lambda i: [(POOL, 0.1 if i < 20 else 1.0)], POOL)) == []


def test_a_lone_outlier_opens_nothing_and_does_not_widen_the_band() -> None:
    log = each_second(200, lambda i: [(POOL, 5.0 if i % 20 == 19 else 0.1)], POOL)
    assert anomalies(log) == []
    last = [one for one in signals(log) if isinstance(one, Health)][-1]
    assert last.series[0].high < 0.5


def test_one_series_alone_is_judged_alike() -> None:
    values = [pool(0.9 if i >= 60 else 0.1, i) for i in range(90)]
    alone = Univariate(CONFIG, kind=Kind.POOL, unit="ratio", direction=Direction.UP)
    readings = [alone.update(T0 + 1000 * i + 300, value) for i, value in enumerate(values)]
    (opened,) = phases(each_second(90, lambda i: [(POOL, values[i])], POOL), Phase.OPENED)
    first = next(reading for reading in readings if reading.anomalous)
    assert (first.at, round(first.z, 3)) == (opened.evidence.points[-1][0], opened.evidence.z)
    assert first.score > 0.5 > readings[59].score
    with pytest.raises(ValueError, match="finite"):
        alone.update(T0, math.nan)
