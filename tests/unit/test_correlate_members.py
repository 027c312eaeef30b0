"""correlate: who belongs to an incident, whichever word came first and however full it is."""

from __future__ import annotations

import pytest
from incident_world import T0, Run, anomaly, topology
from test_correlate import CHAIN, CHAIN_CALLS, alert, incidents, notices, phases

from models.correlation.notices import GROWN_EVERY_MS
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import IncidentPhase
from schemas.kinds import Kind, Severity
from schemas.signals import AnomalyReason, Phase, Tick
from streams.correlate import stage
from streams.harness.stage import Output

FULL = (("inventory", 5.0), ("orders", 20.0), ("catalog", 30.0))  # one more than two, the mildest first


def shop_of(**config: object) -> Run:
    run = Run(stage(CorrelateConfig(**config)))
    run.send(topology(), T0 - 1000)
    return run


def said(run: Run, service: str, phase: Phase, at: int, z: float = 0.0, **more: AnomalyReason) -> list[Output]:
    """Send a later word on an anomaly of the start."""
    return run.send(anomaly(service, Kind.LATENCY, phase, at, opened_at=T0, z=z, **more), at)


def full() -> Run:
    """Return a shop with an incident of two suspects at most, whose third was dropped."""
    run = shop_of(max_suspects=2)
    for service, z in FULL:
        run.send(anomaly(service, Kind.LATENCY, Phase.OPENED, T0, z=z), T0)
    run.ticks(T0, 2)
    assert run.state.evicted == {"suspects": 1}
    return run


def suspects(run: Run) -> set[str]:
    return {one.evidence.service for incident in run.state.incidents.values() for one in incident.suspects.values()}


def test_an_open_suspect_that_had_no_room_keeps_the_incident_open_once_there_is_some() -> None:
    """Given three open suspects and room for two, when the two are well, then the third is one again and nothing is resolved."""
    run = full()
    for service in ("orders", "catalog"):
        said(run, service, Phase.CLOSED, T0 + 3000)
    made = []
    for second in range(4, 120):
        at = T0 + 1000 * second
        if second % 10 == 0:
            made += said(run, "inventory", Phase.CONTINUED, at, z=5.0)
        made += run.send(Tick(at=at), at)
    assert set(phases(made)) == {IncidentPhase.UPDATED}
    assert "inventory" in suspects(run)
    said(run, "inventory", Phase.CLOSED, T0 + 120_000)
    assert notices(run.ticks(T0 + 120_000, 40)) == ["incident_resolved"]


def test_a_suspect_dropped_after_nobody_mentioned_it_for_long_counts_again_with_its_next_word() -> None:
    """It was let go of, which is no end: detect has not closed it."""
    run = shop_of(max_suspects=1, stale_s=20)
    run.send(anomaly("inventory", Kind.LATENCY, Phase.OPENED, T0, z=50.0), T0)
    run.ticks(T0, 2)
    later = T0 + 25_000
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, later, z=5.0), later)
    run.send(Tick(at=later), later)
    run.send(anomaly("orders", Kind.ERRORS, Phase.OPENED, later + 1000, z=6.0), later + 1000)
    assert suspects(run) == {"orders"}
    said(run, "inventory", Phase.CONTINUED, later + 2000, z=50.0)
    assert suspects(run) == {"inventory"}


def test_what_was_read_of_a_dropped_suspect_told_again_changes_nothing() -> None:
    run = full()
    before = run.stage.snapshot(run.state)
    run.send(anomaly("inventory", Kind.LATENCY, Phase.OPENED, T0, z=5.0), T0 + 2000)
    assert run.stage.snapshot(run.state) == before


def test_a_closed_suspect_that_was_dropped_is_over_for_good() -> None:
    run = full()
    said(run, "orders", Phase.CLOSED, T0 + 3000)
    said(run, "inventory", Phase.CONTINUED, T0 + 4000, z=5.0)
    assert suspects(run) == {"inventory", "catalog"}
    said(run, "orders", Phase.CONTINUED, T0 + 9000, z=90.0)
    assert suspects(run) == {"inventory", "catalog"}


def test_nobody_is_told_each_time_that_the_mildest_finds_no_room() -> None:
    """It comes with its every word, and goes: no update out of turn, and no service that has joined."""
    run, made = full(), []
    for second in range(3, 3 + GROWN_EVERY_MS // 1000 + 20):
        at = T0 + 1000 * second
        if second % 10 == 5:
            for service, z in FULL:
                made += said(run, service, Phase.CONTINUED, at, z=z)
        made += run.send(Tick(at=at), at)
    assert notices(made) == []
    assert len(incidents(made)) == (GROWN_EVERY_MS // 1000 + 20) // 10


def test_an_alert_that_opens_an_incident_takes_in_what_waits_near_it() -> None:
    """Given an anomaly that waits out its hold, when an alert of its service opens an incident first, then there is one of both."""
    run = shop_of(alerts_open=True)
    run.send(alert("inventory"), T0)
    run.send(anomaly("inventory", Kind.MEMORY, Phase.OPENED, T0 + 600), T0 + 600)
    made = incidents(run.ticks(T0, 5))
    assert [(one.phase, one.services, len(one.suspects), len(one.alerts)) for one in made] == [(IncidentPhase.OPENED, ("inventory",), 1, 1)]


def test_what_has_waited_joins_the_incident_that_a_new_topology_brings_near() -> None:
    """Given an incident, and what waits too far from it, when a call between them is known, then there is one incident of both."""
    run = shop_of(max_hops=1)
    run.send(topology(CHAIN, CHAIN_CALLS, digest="d2"), T0)
    run.send(anomaly("a", Kind.LATENCY, Phase.OPENED, T0), T0)
    run.ticks(T0, 2)
    for service in ("c", "d"):
        run.send(anomaly(service, Kind.LATENCY, Phase.OPENED, T0 + 2100), T0 + 2100)
    run.send(topology(CHAIN, (*CHAIN_CALLS, ("a", "c")), at=T0 + 2200, digest="d3"), T0 + 2200)
    made = incidents(run.ticks(T0 + 2200, 2))
    assert [(one.phase, set(one.services)) for one in made] == [(IncidentPhase.UPDATED, {"a", "c", "d"})]


@pytest.mark.parametrize("alert_first", [True, False])
def test_a_critical_alert_makes_the_incident_critical_before_the_anomaly_and_after_it(alert_first: bool) -> None:
    run = shop_of()
    words = [alert("orders", at=T0 + 3000 * (not alert_first)), anomaly("orders", Kind.LATENCY, Phase.OPENED, T0 + 3000 * alert_first)]
    for at, word in zip((T0, T0 + 3000), words if alert_first else reversed(words), strict=True):
        run.send(word, at)
        run.ticks(at, 2)
    assert incidents(run.outputs)[-1].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("service", "more", "severity"),
    [
        ("orders", {}, Severity.CRITICAL),
        ("orders", {"firing": False}, Severity.WARNING),
        ("orders", {"severity": Severity.WARNING}, Severity.WARNING),
        ("payments", {}, Severity.WARNING),
    ],
)
def test_only_a_firing_critical_alert_of_a_suspects_service_makes_it_critical_and_is_told_at_once(
    service: str, more: dict[str, object], severity: Severity
) -> None:
    run = shop_of()
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    run.ticks(T0, 2)
    run.send(alert(service, at=T0 + 2500, **more), T0 + 2500)
    told = incidents(run.ticks(T0 + 2500, 1))
    assert [one.severity for one in told] == [severity] * (severity is Severity.CRITICAL)
    (incident,) = run.state.incidents.values()
    assert incident.severity is severity
    run.send(alert(service, at=T0 + 4000, **more), T0 + 4000)
    assert incidents(run.ticks(T0 + 4000, 1)) == [], "a repeat is no news"
