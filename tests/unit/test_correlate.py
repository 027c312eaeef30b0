"""correlate: given signals, when ticks pass, then these incidents."""

import json
from itertools import pairwise

import pytest
from incident_world import T0, Run, anomaly, change, health, topology

from schemas.base import Position
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import INCIDENT_EVENTS, Incident, IncidentPhase
from schemas.kinds import ChangeType, Kind, Severity
from schemas.signals import Alert, AnomalyReason, Phase
from schemas.topics import INCIDENTS, NOTICES
from streams.correlate import BACKFILL_HEADER, stage
from streams.harness.errors import Poison

CHAIN = ("a", "b", "c", "d", "e", "f", "g")
CHAIN_CALLS = tuple(pairwise(CHAIN))


@pytest.fixture
def shop() -> Run:
    run = Run(stage(CorrelateConfig()))
    run.send(topology(), T0 - 1000)
    return run


def incidents(outputs) -> list[Incident]:
    return [INCIDENT_EVENTS.validate_json(out.value) for out in outputs if out.topic == INCIDENTS.name]


def notices(outputs) -> list[str]:
    return [json.loads(out.value)["kind"] for out in outputs if out.topic == NOTICES.name]


def texts(outputs) -> list[str]:
    return [json.loads(out.value)["text"] for out in outputs if out.topic == NOTICES.name]


def phases(outputs) -> list[IncidentPhase]:
    return [incident.phase for incident in incidents(outputs)]


def test_a_lasting_anomaly_opens_an_incident_within_two_ticks_and_people_are_told(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    made = shop.ticks(T0, 2)
    assert phases(made) == [IncidentPhase.OPENED]
    assert notices(made) == ["incident_opened"]
    opened = incidents(made)[0]
    assert opened.services == ("orders",)
    assert opened.suspects[0].opener
    assert opened.sources == (Position(topic="airra.signals.v1", partition=0, offset=2),)
    assert {node.name for node in opened.nodes} == {"gateway", "catalog", "orders", "inventory", "payments"}


def test_a_blip_shorter_than_the_hold_opens_nothing(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + 500, opened_at=T0), T0 + 500)
    assert shop.ticks(T0, 20) == []


@pytest.mark.parametrize("kind", [Kind.REQUESTS, Kind.CPU])
def test_load_alone_opens_nothing(shop, kind):
    shop.send(anomaly("gateway", kind, Phase.OPENED, T0), T0)
    assert shop.ticks(T0, 20) == []


def test_load_cannot_be_configured_to_open():
    with pytest.raises(ValueError, match="cpu cannot open an incident"):
        CorrelateConfig(opens=(Kind.CPU,))


def test_a_deploy_alone_opens_nothing_and_is_evidence_later(shop):
    deploy = change(ChangeType.DEPLOY, "payments", "v1", "v2", at=T0)
    shop.send(deploy, T0)
    assert shop.ticks(T0, 20) == []
    shop.send(anomaly("orders", Kind.ERRORS, Phase.OPENED, T0 + 20_000), T0 + 20_000)
    opened = incidents(shop.ticks(T0 + 20_000, 2))[0]
    assert opened.changes == (deploy,)
    assert {node.name: node.release for node in opened.nodes}["payments"] == "v2"


def test_neighbours_join_and_a_new_service_is_told_at_the_next_tick(shop):
    shop.send(anomaly("gateway", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.ticks(T0, 2)
    shop.send(anomaly("inventory", Kind.MEMORY, Phase.OPENED, T0 + 2500), T0 + 2500)
    made = incidents(shop.ticks(T0 + 2000, 1))
    assert [(i.phase, i.version, set(i.services)) for i in made] == [(IncidentPhase.UPDATED, 2, {"gateway", "inventory"})]


def test_an_updated_picture_with_the_health_of_everybody_follows_every_ten_seconds(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.ticks(T0, 1)
    shop.send(health("payments", Kind.CPU, T0 + 5000, 0.02), T0 + 5000)
    made = incidents(shop.ticks(T0 + 1000, 30))
    assert [i.phase for i in made] == [IncidentPhase.UPDATED] * 3
    assert [(reading.service, reading.kind) for reading in made[-1].health] == [("payments", Kind.CPU)]


def test_far_apart_faults_are_two_incidents_and_near_ones_are_one():
    run = Run(stage(CorrelateConfig(max_hops=2)))
    run.send(topology(CHAIN, CHAIN_CALLS), T0)
    for service in ("a", "c", "g"):
        run.send(anomaly(service, Kind.ERRORS, Phase.OPENED, T0), T0)
    made = incidents(run.ticks(T0, 2))
    assert [set(i.services) for i in made] == [{"a", "c"}, {"g"}] or [set(i.services) for i in made] == [{"g"}, {"a", "c"}]


def test_a_flapping_fault_is_one_incident_until_it_has_been_quiet_long_enough(shop):
    for turn in range(4):
        begun = T0 + 15_000 * turn
        shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, begun), begun)
        shop.ticks(begun, 5)
        shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, begun + 6000, opened_at=begun), begun + 6000)
        shop.ticks(begun + 6000, 8)
    assert phases(shop.outputs).count(IncidentPhase.OPENED) == 1
    assert IncidentPhase.RESOLVED not in phases(shop.outputs)
    end = shop.ticks(T0 + 60_000, 60)
    assert phases(end)[-1] is IncidentPhase.RESOLVED
    assert notices(end) == ["incident_resolved"]
    assert shop.ticks(T0 + 120_000, 30) == [], "after it is resolved nothing more is said"


def test_evidence_goes_on_after_the_anomaly_has_closed_with_the_band_of_before(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0, value=0.4), T0)
    shop.ticks(T0, 2)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + 3000, opened_at=T0, value=0.06), T0 + 3000)
    recovered = health("orders", Kind.LATENCY, T0 + 20_000, 0.05)
    widened = recovered.series[0].model_copy(update={"low": 0.0, "high": 9.0, "baseline": 5.0})
    shop.send(recovered.model_copy(update={"series": (widened,)}), T0 + 20_000)
    last = incidents(shop.ticks(T0 + 20_000, 5))[-1].suspects[0]
    assert not last.open
    assert last.evidence.value == 0.05
    assert (last.evidence.low, last.evidence.baseline, last.evidence.high) == pytest.approx((0.04, 0.05, 0.06))
    assert last.evidence.peak_z == 8.0


def test_the_resolved_record_comes_no_earlier_than_thirty_seconds_after_the_last_closing(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.ticks(T0, 2)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + 2500, opened_at=T0), T0 + 2500)
    assert IncidentPhase.RESOLVED not in phases(shop.ticks(T0 + 2000, 30))
    assert IncidentPhase.RESOLVED in phases(shop.ticks(T0 + 32_000, 2))


def test_a_repeated_closed_anomaly_opens_nothing_again(shop):
    opened = anomaly("orders", Kind.LATENCY, Phase.OPENED, T0)
    shop.send(opened, T0)
    shop.ticks(T0, 2)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + 3000, opened_at=T0), T0 + 3000)
    shop.ticks(T0 + 3000, 40)
    shop.send(opened, T0 + 50_000)
    assert incidents(shop.ticks(T0 + 50_000, 5)) == []


def test_a_silent_series_opens_and_is_critical_on_a_service_that_matters():
    run = Run(stage(CorrelateConfig()))
    run.send(topology(criticality="high"), T0)
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0, reason=AnomalyReason.SILENCE), T0)
    assert incidents(run.ticks(T0, 2))[0].severity is Severity.CRITICAL


def listening(run: Run, start: int, seconds: int) -> list:
    """Tick for so long, with the health of another service every ten seconds."""
    made = []
    for at in range(start, start + seconds * 1000, 10_000):
        made += run.send(health("payments", Kind.CPU, at), at)
        made += run.ticks(at, 10)
    return made


def test_a_suspect_that_nobody_mentions_any_more_does_not_keep_an_incident_open_for_ever(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    made = listening(shop, T0, 360)
    assert phases(made)[-1] is IncidentPhase.RESOLVED
    assert "recovery seen: nothing more was heard of orders http_request_duration_seconds:p95 (0 of 1 " in texts(made)[-1]


def alert(service: str, *, severity: Severity = Severity.CRITICAL, firing: bool = True, at: int = T0) -> Alert:
    source = Position(topic="airra.alerts.v1", partition=0, offset=1)
    return Alert(
        id=f"al-{at}",
        fingerprint="f1",
        service=service,
        name="Slow",
        severity=severity,
        firing=firing,
        count=1,
        first=T0,
        last=at,
        source=source,
    )


def test_an_alert_is_evidence_and_opens_only_where_that_is_configured(shop):
    shop.send(alert("orders"), T0)
    assert shop.ticks(T0, 5) == []
    shop.send(anomaly("gateway", Kind.LATENCY, Phase.OPENED, T0 + 6000), T0 + 6000)
    assert [a.name for a in incidents(shop.ticks(T0 + 6000, 2))[0].alerts] == ["Slow"]

    opening = Run(stage(CorrelateConfig(alerts_open=True)))
    opening.send(alert("orders"), T0)
    assert incidents(opening.ticks(T0, 1))[0].services == ("orders",)
    opening.send(alert("orders", firing=False, at=T0 + 4000), T0 + 4000)
    assert phases(opening.ticks(T0 + 4000, 40))[-1] is IncidentPhase.RESOLVED


def test_historical_signals_open_nothing(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0, ((BACKFILL_HEADER, b"1"),))
    assert shop.ticks(T0, 20) == []


def test_a_number_without_end_is_poison_and_changes_nothing(shop):
    before = stage(CorrelateConfig()).snapshot(shop.state)
    record = shop.record(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    endless = record.__class__(record.topic, 0, 99, T0, b"k", record.value.replace(b'"value":0.25', b'"value":1e999'))
    with pytest.raises(Poison, match="not finite"):
        shop.take(endless)
    with pytest.raises(Poison, match="invalid_record"):
        shop.take(record.__class__(record.topic, 0, 100, T0, b"k", b"{"))
    assert stage(CorrelateConfig()).snapshot(shop.state) == before


def test_workers_follow_scale_changes_and_the_same_file_told_again_does_not_reset_them(shop):
    shop.send(change(ChangeType.SCALE, "orders", "2", "6", at=T0), T0)
    shop.send(topology(at=T0 + 1000), T0 + 1000)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0 + 2000), T0 + 2000)
    assert {n.name: n.workers for n in incidents(shop.ticks(T0 + 2000, 2))[0].nodes}["orders"] == 6


def test_tables_are_bounded_and_evictions_counted():
    config = CorrelateConfig(max_suspects=3, max_tracked=10, max_services=4)
    run = Run(stage(config))
    run.send(topology(), T0)
    for i in range(20):
        run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0 + i), T0)
        run.send(health(f"s{i}", Kind.CPU, T0 + i), T0)
        run.send(change(ChangeType.CONFIG, f"s{i}", "1", "2", at=T0 + i), T0)
    run.ticks(T0, 2)
    state = run.state
    assert (len(state.health), len(state.changes)) == (4, 10)
    assert all(len(open_.suspects) <= 3 for open_ in state.incidents.values())
    assert state.evicted == {"waiting": 10, "health": 16, "changes": 10, "suspects": 7}


def test_one_record_stays_far_below_the_largest_message_with_many_services():
    names = [f"s{i:02}" for i in range(60)]
    run = Run(stage(CorrelateConfig()))
    run.send(topology(names, pairwise(names)), T0)
    for name in names:
        for kind in (Kind.LATENCY, Kind.ERRORS, Kind.CPU, Kind.MEMORY, Kind.REQUESTS):
            base = health(name, kind, T0)
            long = tuple(
                base.series[0].model_copy(update={"series": f"{i:016x}", "points": tuple((T0 + n, 0.123456789 + n) for n in range(200))})
                for i in range(8)
            )
            run.send(base.model_copy(update={"series": long}), T0)
        run.send(anomaly(name, Kind.LATENCY, Phase.OPENED, T0), T0)
    outputs = [out for out in run.ticks(T0, 12) if out.topic == INCIDENTS.name]
    assert outputs
    assert max(len(out.value) for out in outputs) < 700_000


def test_an_anomaly_let_go_of_and_told_again_makes_another_incident():
    run = Run(stage(CorrelateConfig(stale_s=60)))
    run.send(topology(), T0 - 1000)
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    first = incidents(listening(run, T0, 300))
    assert first[-1].phase is IncidentPhase.RESOLVED
    run.send(anomaly("orders", Kind.LATENCY, Phase.CONTINUED, T0 + 300_000, opened_at=T0), T0 + 300_000)
    again = incidents(run.ticks(T0 + 300_000, 3))
    assert [(i.phase, i.version) for i in again[:1]] == [(IncidentPhase.OPENED, 1)]
    assert again[0].incident != first[0].incident


def test_a_critical_alert_that_fires_again_within_its_window_makes_another_incident():
    run = Run(stage(CorrelateConfig(alerts_open=True)))
    run.send(topology(), T0 - 1000)
    run.send(alert("orders", at=T0), T0)
    opened = incidents(run.ticks(T0, 3))
    run.send(alert("orders", firing=False, at=T0 + 4000), T0 + 4000)
    assert phases(run.ticks(T0 + 4000, 200))[-1] is IncidentPhase.RESOLVED
    run.send(alert("orders", at=T0 + 210_000), T0 + 210_000)
    again = incidents(run.ticks(T0 + 210_000, 3))
    assert again[0].phase is IncidentPhase.OPENED
    assert again[0].incident != opened[0].incident


def test_what_waits_joins_as_soon_as_a_newcomer_brings_it_near_and_opens_no_incident_of_its_own():
    run = Run(stage(CorrelateConfig(max_hops=1)))
    run.send(topology(CHAIN, CHAIN_CALLS), T0 - 1000)
    run.send(anomaly("a", Kind.LATENCY, Phase.OPENED, T0), T0)
    run.ticks(T0, 2)
    run.send(anomaly("c", Kind.LATENCY, Phase.OPENED, T0 + 2000), T0 + 2000)
    run.send(anomaly("b", Kind.LATENCY, Phase.OPENED, T0 + 2000), T0 + 2000)
    made = incidents(run.ticks(T0 + 2000, 3))
    assert {incident.incident for incident in made} == {incidents(run.outputs)[0].incident}
    assert set(made[0].services) == {"a", "b", "c"}
