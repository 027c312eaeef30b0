"""detect's health signals: how often they come, and which series they show."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from models.detection import close
from models.detection.report import health
from schemas.kinds import Kind
from schemas.signals import Health
from tests.unit.detect_cart import MB, MEMORY, POOL, seconds
from tests.unit.detect_feed import each_second, series, signals


def test_health_comes_every_ten_seconds_and_every_five_of_a_service_in_trouble() -> None:
    calm = series("shop", Kind.POOL, unit="ratio")
    log = each_second(120, lambda i: [(calm, 0.1), (POOL, 0.9 if i >= 60 else 0.1), (MEMORY, 50.0 * MB)], calm, POOL, MEMORY)
    health = [one for one in signals(log) if isinstance(one, Health)]
    at = {
        (s, k): [seconds(one.at) for one in health if (one.service, one.kind) == (s, k)]
        for s, k in {(one.service, one.kind) for one in health}
    }
    assert at["shop", Kind.POOL] == list(range(10, 120, 10))
    assert at["cart", Kind.MEMORY] == [*range(10, 61, 10), *range(65, 120, 5)]
    last = [one for one in health if one.service == "cart"][-2:]
    assert all(len(one.series[0].points) == 10 for one in last)
    assert {one.kind: one.anomalous for one in last} == {Kind.MEMORY: 0, Kind.POOL: 1}
    assert len({one.id for one in health}) == len(health)


def test_a_moment_that_is_only_for_services_in_trouble_is_looked_at_only_where_there_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []

    def counted(registry: Any, directory: Any, at: int, source: Any, *, everyone: bool) -> Any:
        looked.append(seconds(at))
        return health(registry, directory, at, source, everyone=everyone)

    monkeypatch.setattr(close, "health", counted)
    signals(each_second(120, lambda i: [(POOL, 0.9 if i >= 60 else 0.1)], POOL))
    assert looked == [*range(0, 61, 10), *range(65, 120, 5)]


@pytest.mark.parametrize("every", [10, 15, 60])
@pytest.mark.parametrize("phase", [2, 7])
def test_health_of_the_calm_comes_whatever_the_second_at_which_everything_is_scraped(every: int, phase: int) -> None:
    """Given one scrape of everything that always falls between a moment of the watched and the next of all, then all are told of."""
    calm = series("shop", Kind.POOL, unit="ratio")
    log = each_second(600, lambda i: [(calm, 0.1)] if i % every == phase else [], calm)
    at = [seconds(one.at) for one in signals(log) if isinstance(one, Health)]
    assert len(at) >= 600 // max(every, 10) - 2
    assert all(later - earlier <= every + 10 for earlier, later in pairwise(at))


def test_a_reading_of_the_worst_eight_keeps_what_was_anomalous_lately() -> None:
    many = [series("cart", Kind.POOL, unit="ratio", instance=f"i:{n:02}") for n in range(20)]
    log = each_second(
        150, lambda i: [(one, 0.9 if n == 17 and 60 <= i < 90 else 0.1 + 0.001 * ((i * 7 + n) % 5)) for n, one in enumerate(many)], *many
    )
    last = [one for one in signals(log) if isinstance(one, Health)][-1]
    assert (last.series_count, last.anomalous, len(last.series)) == (20, 0, 8)
    assert last.series[0].instance == "i:17"
