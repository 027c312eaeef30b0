"""correlate: what is evidence now, and what was only true long ago."""

from __future__ import annotations

import pytest
from incident_world import T0, Run, anomaly, health, topology
from test_correlate import incidents

from schemas.config.correlate import CorrelateConfig
from schemas.kinds import Kind
from schemas.signals import Health, Phase, SeriesEvidence
from streams.correlate import stage

STALE_MS = 300_000  # of CorrelateConfig
NOW = T0 + 86_400_000


@pytest.fixture
def shop() -> Run:
    run = Run(stage(CorrelateConfig()))
    run.send(topology(), T0 - 1000)
    return run


def evidence(run: Run) -> list[tuple[str, str, str]]:
    """Let orders fall ill now, and list what else is known: of which service, metric and series."""
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, NOW), NOW)
    (opened,) = incidents(run.ticks(NOW, 2))
    return [(one.service, one.metric, one.series) for one in opened.health]


def out(service: str, kind: Kind, at: int) -> Health:
    return health(service, kind, at, 90e6, anomalous=1, z=50.0)


def also(of: Health, *more: SeriesEvidence) -> Health:
    return of.model_copy(update={"series": (*more, *of.series)})


def old(of: Health, metric: str, series: str = "", *, points: bool = True) -> SeriesEvidence:
    """Return a reading that is told now by points of yesterday, or without any."""
    reading = of.series[0]
    told = {"metric": metric, "series": series or reading.series, "points": tuple((at - NOW + T0, value) for at, value in reading.points)}
    return reading.model_copy(update=told if points else {**told, "points": ()})


@pytest.mark.parametrize("service", ["payments", "orders"])
def test_the_last_reading_of_what_nobody_tells_of_any_more_is_no_evidence(shop: Run, service: str) -> None:
    """Given a service, or a kind of an ill one, that was told of yesterday, when an incident opens, then nothing of it is in it."""
    shop.send(out(service, Kind.MEMORY, T0), T0)
    assert evidence(shop) == []


@pytest.mark.parametrize(("age_ms", "count"), [(STALE_MS, 1), (STALE_MS + 1, 0)])
def test_a_reading_is_evidence_for_as_long_as_a_suspect_lives_unmentioned(shop: Run, age_ms: int, count: int) -> None:
    shop.send(out("payments", Kind.MEMORY, NOW - age_ms), NOW - age_ms)
    assert len(evidence(shop)) == count


@pytest.mark.parametrize("service", ["payments", "orders"])
def test_a_series_that_detect_still_tells_of_by_its_old_points_is_no_evidence(shop: Run, service: str) -> None:
    """Of a service around the incident the worst readings are shown: one that is gone takes no other's place."""
    now = out(service, Kind.MEMORY, NOW)
    shop.send(also(now, *(old(now, f"gone{n}") for n in range(3))), NOW)
    assert [metric for _, metric, _ in evidence(shop)] == ["memory"]


@pytest.mark.parametrize(("at", "told"), [(NOW, ["pointless", "memory"]), (T0, [])])
def test_a_reading_without_points_is_as_old_as_what_tells_of_it(shop: Run, at: int, told: list[str]) -> None:
    now = out("payments", Kind.MEMORY, at)
    shop.send(also(now, old(now, "pointless", points=False)), at)
    assert [metric for _, metric, _ in evidence(shop)] == told


def test_a_suspects_own_series_stays_evidence_however_old_its_points_are(shop: Run) -> None:
    """It may be silence that it is suspected of; another statistic, or series, of the same source is no suspect."""
    now = health("orders", Kind.LATENCY, NOW, 0.2, anomalous=1, z=8.0)
    metric, series = now.series[0].metric, now.series[0].series
    mine = old(now, metric)
    shop.send(now.model_copy(update={"series": (mine, old(now, "p50"), old(now, metric, "f" * 16))}), NOW)
    assert evidence(shop) == [("orders", metric, series)]
