"""What the median of five minutes follows, and the anchor beside it does not: slow growth, dips, and loads that come and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, Health, Phase
from tests.unit.detect_feed import CONFIG, T0, Log, anomalies, each_second, histogram, series, signals

LATENCY = series("cart", Kind.LATENCY, unit="seconds")
ERRORS = series("cart", Kind.ERRORS, metric="error_share", unit="ratio")
MEMORY = series("cart", Kind.MEMORY, metric="resident", unit="bytes", direction=Direction.UP)
REQUESTS = series("cart", Kind.REQUESTS, metric="load", direction=Direction.NONE)
MB, MINUTE_S, HOUR_S, DAY_S = 1e6, 60, 3600, 86_400
KNOWN_S = HOUR_S + 10 * MINUTE_S  # then the anchor has learned for its half-life
EVERY_S = 5


def turns(one: SeriesDef, count: int, value: Callable[[int], float], *, calm: int = KNOWN_S, noise: float = 0.01) -> list[Anomaly]:
    """Return what opened and closed in `calm` ordinary seconds, value(0), and so many more, a point each five seconds."""
    own = 1 + noise * np.random.default_rng(1).standard_normal(calm + count)
    return told(each_second(calm + count, lambda i: [(one, value(max(0, i - calm)) * own[i])] if i % EVERY_S == 0 else [], one))


def told(log: Log) -> list[Anomaly]:
    return [found for found in anomalies(log) if found.phase is not Phase.CONTINUED]


@pytest.mark.parametrize("doubling", [5 * MINUTE_S, 10 * MINUTE_S, 15 * MINUTE_S])
def test_what_doubles_slowly_is_out_of_the_ordinary_against_what_it_was_for_most_of_an_hour(doubling: int) -> None:
    (found,) = turns(LATENCY, 3 * doubling, lambda i: 0.1 * 2 ** (i / doubling))
    assert found.evidence.baseline == pytest.approx(0.1, rel=0.35)
    assert found.evidence.value < 0.4, "before it is four times as much"
    assert found.evidence.value > found.evidence.high > 0.2


def test_what_doubles_in_an_hour_stays_within_its_anchors_band() -> None:
    assert turns(LATENCY, 3 * HOUR_S, lambda i: 0.1 * 2 ** (i / HOUR_S)) == []


def test_until_an_anchor_is_known_the_median_alone_decides() -> None:
    assert turns(LATENCY, 20 * MINUTE_S, lambda i: 0.1 * 2 ** (i / 300), calm=10 * MINUTE_S) == []
    assert len(turns(LATENCY, 20 * MINUTE_S, lambda i: 0.1 * 2 ** (i / 60), calm=10 * MINUTE_S)) == 1


def test_errors_that_come_within_an_hour_open_an_anomaly_which_lasts_until_they_are_gone() -> None:
    plateau = 3 * HOUR_S
    found = turns(ERRORS, plateau + 10 * MINUTE_S, lambda i: 0.002 + min(0.5, 0.5 * i / HOUR_S) * (i < plateau))
    assert [one.phase for one in found] == [Phase.OPENED, Phase.CLOSED]
    assert found[0].evidence.value < 0.2
    assert plateau < (found[1].at - T0) / 1000 - KNOWN_S < plateau + 2 * MINUTE_S


def test_a_histogram_that_slows_down_within_the_hour_is_found_by_p95_and_p50_together() -> None:
    bounds = [0.01 * 1.3**k for k in range(24)]
    buckets = histogram("cart", (*bounds, None))
    counts = np.zeros(len(buckets))

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        slower = 0.05 * 2 ** (max(0, i - KNOWN_S) / (10 * MINUTE_S))
        share = np.append(np.clip((np.array(bounds) / slower - 0.5) / 1.5, 0, 1), 1.0)
        np.add(counts, 40 * share, out=counts)
        return list(zip(buckets, counts.tolist(), strict=True))

    (found,) = told(each_second(KNOWN_S + 25 * MINUTE_S, second, *buckets))
    assert found.evidence.metric.endswith(":p95")
    assert found.evidence.value < 4 * 0.1


@pytest.mark.parametrize("lasted", [MINUTE_S, 5 * MINUTE_S, 20 * MINUTE_S])
def test_to_come_back_from_a_dip_is_no_departure_and_to_go_beyond_where_it_was_is_one(lasted: int) -> None:
    def after(level: float) -> list[Anomaly]:
        return turns(MEMORY, lasted + 20 * MINUTE_S, lambda i: (800 if i == 0 else 300 if i < lasted else level) * MB, calm=4 * HOUR_S)

    assert after(800) == []
    (found,) = after(1400)
    assert found.phase is Phase.OPENED
    assert 800 * MB < found.evidence.high < 1300 * MB


@pytest.mark.parametrize("period", [40 * MINUTE_S, HOUR_S, 2 * HOUR_S, 3 * HOUR_S])
def test_memory_that_fills_and_is_freed_again_and_again_opens_nothing(period: int) -> None:
    assert turns(MEMORY, 8 * HOUR_S, lambda i: (300 + 1200 * (i % period) / period) * MB, calm=0) == []


@pytest.mark.parametrize("filling", [90 * MINUTE_S, 2 * HOUR_S, 4 * HOUR_S])
def test_a_process_that_fills_its_memory_for_hours_after_it_began_opens_nothing(filling: int) -> None:
    assert turns(MEMORY, 6 * HOUR_S, lambda i: 1000 * MB * min(1.0, 0.1 + 0.9 * i / filling), calm=0) == []
    assert turns(MEMORY, 6 * HOUR_S, lambda i: 1000 * MB * (1 - 0.9 * np.exp(-i * 2 / filling)), calm=0) == []


def test_after_a_bad_day_that_was_mended_what_comes_next_is_found() -> None:
    begins, next_at = 4 * HOUR_S, 5 * HOUR_S
    (found,) = turns(LATENCY, 6 * HOUR_S, lambda i: 3.0 if i < begins else 0.1 if i < next_at else 0.6, calm=0)
    assert next_at < (found.at - T0) / 1000 < next_at + MINUTE_S


def test_what_was_absent_for_hours_and_came_is_missed_when_it_goes_again() -> None:
    up = series("cart", Kind.UP, metric="up", direction=Direction.DOWN)
    begins, gone = 4 * HOUR_S, 4 * HOUR_S + 20 * MINUTE_S
    found = turns(up, 5 * HOUR_S, lambda i: float(begins <= i < gone), calm=0, noise=0)
    assert gone < (found[-1].at - T0) / 1000 < gone + MINUTE_S
    assert found[-1].phase is Phase.OPENED


@pytest.mark.parametrize("wild", [300.0, 9.2e18])
def test_a_few_wild_points_at_the_beginning_are_not_remembered(wild: float) -> None:
    (found,) = turns(LATENCY, 2 * HOUR_S, lambda i: wild if i < 5 * EVERY_S else 0.1 if i < 90 * MINUTE_S else 0.4, calm=0)
    assert 90 * MINUTE_S < (found.at - T0) / 1000 < 92 * MINUTE_S


def test_the_baseline_told_of_load_is_the_median_whatever_the_value_and_the_anchor_are() -> None:
    own = 1 + 0.05 * np.random.default_rng(2).standard_normal(2 * HOUR_S)

    def level(i: int) -> float:
        return 300 if i < 70 * MINUTE_S else 600 if i < 100 * MINUTE_S else 450

    log = each_second(2 * HOUR_S, lambda i: [(REQUESTS, level(i) * own[i])] if i % EVERY_S == 0 else [], REQUESTS)
    told = [one.series[0].baseline for one in signals(log) if isinstance(one, Health) and (one.at - T0) / 1000 > 108 * MINUTE_S]
    assert len(told) > 30
    assert max(told) < 1.1 * min(told)


def test_what_was_on_the_good_side_for_longer_is_usual_there() -> None:
    (found,) = turns(MEMORY, HOUR_S, lambda i: (300 if 0 < i < 40 * MINUTE_S else 800) * MB, calm=4 * HOUR_S)
    assert found.phase is Phase.OPENED
    assert found.evidence.high < 800 * MB


def test_load_that_comes_is_told_once_and_its_going_is_not() -> None:
    found = turns(REQUESTS, HOUR_S, lambda i: 250 if 0 < i < 20 * MINUTE_S else 100)
    assert [one.phase for one in found] == [Phase.OPENED, Phase.CLOSED]


def test_load_is_no_harm_and_may_grow_as_slowly_as_it_likes() -> None:
    assert turns(REQUESTS, 90 * MINUTE_S, lambda i: 100 * 2 ** (i / (15 * MINUTE_S))) == []


@pytest.mark.parametrize(("one", "usual"), [(LATENCY, 0.2), (ERRORS, 0.02), (MEMORY, 800 * MB), (REQUESTS, 300.0)])
def test_a_day_that_swings_by_two_fifths_opens_nothing(one: SeriesDef, usual: float) -> None:
    assert turns(one, DAY_S, lambda i: usual * (1 + 0.4 * np.sin(2 * np.pi * i / DAY_S)), noise=0.05) == []


def test_an_anchor_is_slower_than_the_baseline_beside_it() -> None:
    with pytest.raises(ValueError, match="anchor_half_life_s is below history_s"):
        CONFIG.model_validate({**CONFIG.model_dump(), "anchor_half_life_s": 200})
