"""correlate under wrong clocks, outages, strangers' texts and senders that never say resolved."""

import json

import pytest
from incident_world import T0, Run, anomaly, change, health, topology
from test_correlate import alert, incidents, listening, notices, phases, texts

from models.correlation import state as correlation_state
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import IncidentPhase
from schemas.kinds import ChangeType, Kind, Severity
from schemas.signals import AnomalyReason, Phase, Tick
from schemas.topics import INCIDENTS
from streams.correlate import CLAMPED, stage
from streams.harness.errors import Poison

YEAR = 365 * 86_400_000


@pytest.fixture
def shop() -> Run:
    run = Run(stage(CorrelateConfig()))
    run.send(topology(), T0 - 1000)
    return run


def release(run: Run, service: str) -> str | None:
    return {node.name: node.release for node in run.state.topology.services}[service]


def test_a_deploy_from_the_future_does_not_freeze_the_release(shop):
    clamped = CLAMPED.labels("change")._value.get()
    shop.send(change(ChangeType.DEPLOY, "orders", "v1", "v2", at=T0 + YEAR), T0)
    assert release(shop, "orders") == "v2"
    shop.send(change(ChangeType.DEPLOY, "orders", "v2", "v3", at=T0 + 1000), T0 + 1000)
    assert release(shop, "orders") == "v3"
    assert CLAMPED.labels("change")._value.get() == clamped + 1


def test_a_reading_from_the_future_makes_nobody_forget_the_changes(shop):
    deploy = change(ChangeType.DEPLOY, "orders", "v1", "v2", at=T0)
    shop.send(deploy, T0)
    shop.send(health("payments", Kind.CPU, T0 + YEAR), T0 + 1000)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0 + 2000), T0 + 2000)
    opened = incidents(shop.ticks(T0 + 2000, 2))[0]
    assert opened.changes == (deploy,)
    assert opened.at == T0 + 2000


def test_signals_from_the_future_of_every_type_count_as_of_now(shop):
    ahead = T0 + YEAR
    shop.send(topology(at=ahead, digest="d2"), T0)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, ahead), T0)
    shop.send(alert("orders", at=ahead).model_copy(update={"first": ahead}), T0)
    state = shop.state
    assert (state.topology.at, state.event_clock) == (T0, T0)
    assert [(one.first, one.last) for one in state.alerts.values()] == [(T0, T0)]
    assert [one.anomaly.opened_at for one in state.waiting.values()] == [T0]
    assert shop.send(Tick(at=T0 + 1000), T0 + 1000)


def test_an_outage_of_all_readings_neither_resolves_an_incident_nor_makes_another(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    opened = incidents(shop.ticks(T0, 3))
    made = shop.ticks(T0 + 3000, 400)
    back = T0 + 403_000
    made += listening(shop, back, 40)  # others are heard first
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CONTINUED, back + 40_000, opened_at=T0), back + 40_000)
    made += shop.ticks(back + 40_000, 60)
    assert set(phases(made)) == {IncidentPhase.UPDATED}
    assert {one.incident for one in incidents(made)} == {opened[0].incident}


def test_what_detect_gave_up_is_over_and_is_no_recovery(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.send(anomaly("orders", Kind.ERRORS, Phase.OPENED, T0), T0)
    shop.ticks(T0, 2)
    shop.send(anomaly("orders", Kind.ERRORS, Phase.CLOSED, T0 + 3000, opened_at=T0), T0 + 3000)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + 3000, opened_at=T0, reason=AnomalyReason.GAVE_UP), T0 + 3000)
    end = shop.ticks(T0 + 3000, 40)
    assert notices(end) == ["incident_resolved"]
    assert texts(end)[0].startswith(
        "closed without a recovery seen: nothing more was heard of orders http_request_duration_seconds:p95 (1 of 2 "
    )


def test_a_suspect_heard_of_again_and_recovered_is_a_recovery(shop):
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    shop.send(anomaly("orders", Kind.ERRORS, Phase.OPENED, T0), T0)
    listening(shop, T0, 290)
    shop.send(anomaly("orders", Kind.ERRORS, Phase.CONTINUED, T0 + 290_000, opened_at=T0), T0 + 290_000)
    listening(shop, T0 + 290_000, 20)
    (open_,) = shop.state.incidents.values()
    assert len(open_.unseen) == 1
    at = T0 + 310_000
    for phase in (Phase.CONTINUED, Phase.CLOSED):
        shop.send(anomaly("orders", Kind.LATENCY, phase, at, opened_at=T0), at)
        at += 1000
    shop.send(anomaly("orders", Kind.ERRORS, Phase.CLOSED, at, opened_at=T0), at)
    assert texts(shop.ticks(at, 40)) == ["every suspect is back in its band; it lasted 312 s"]


def test_a_firing_alert_that_nobody_resolves_ends_when_its_repeats_do():
    run = Run(stage(CorrelateConfig(alerts_open=True, alert_expiry_s=16_200)))
    run.send(topology(), T0 - 1000)
    run.send(alert("orders", at=T0), T0)
    assert phases(run.ticks(T0, 1)) == [IncidentPhase.OPENED]
    repeat = T0 + 4 * 3_600_000 + 300_000  # as Alertmanager does by default: every 4 h, at the next group interval
    run.send(Tick(at=repeat), repeat)
    assert len(run.state.alerts) == 1
    run.send(alert("orders", at=repeat), repeat)
    run.send(Tick(at=repeat + 16_199_000), repeat + 16_199_000)
    assert len(run.state.alerts) == 1
    end = run.ticks(repeat + 16_199_000, 40)
    assert (run.state.alerts, run.state.evicted["alerts_expired"]) == ({}, 1)
    assert texts(end)[-1].startswith("closed without a recovery seen: nothing more was heard of alert Slow")


def test_ends_forgotten_for_want_of_room_are_counted(monkeypatch):
    monkeypatch.setattr(correlation_state, "ENDED_KEPT", 10)
    run = Run(stage(CorrelateConfig()))
    for i in range(15):
        run.send(anomaly("orders", Kind.LATENCY, Phase.CLOSED, T0 + i), T0 + i)
    assert (len(run.state.ended), run.state.evicted) == (10, {"ended": 5})


def test_alerts_with_labels_of_sixteen_thousand_characters_do_not_stop_the_incident(shop):
    for n in range(50):
        labels = {"alertname": "x", **{f"l{i}": "é" * 1_900 for i in range(8)}}
        one = alert("orders", severity=Severity.WARNING, at=T0 + n).model_copy(update={"fingerprint": f"f{n}", "labels": labels})
        shop.send(one, T0)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    (record,) = [out for out in shop.ticks(T0, 3) if out.topic == INCIDENTS.name]
    told = json.loads(record.value)
    assert len(record.value) <= 900_000
    assert told["suspects"]
    assert max(len(text) for one in told["alerts"] for text in one["labels"].values()) == 1_000
    assert [one["last"] for one in told["alerts"]] == [T0 + 49 - n for n in range(len(told["alerts"]))]
    assert len(told["alerts"]) + shop.state.evicted.get("record_alerts", 0) == 50


def test_names_that_would_fill_a_record_are_poison(shop):
    bad = anomaly("orders", Kind.LATENCY, Phase.OPENED, T0)
    bad = bad.model_copy(update={"evidence": bad.evidence.model_copy(update={"service": "x" * 3000})})
    with pytest.raises(Poison, match="a name of more than"):
        shop.send(bad, T0)


@pytest.mark.parametrize("field", ["at", "opened_at"])
def test_a_time_of_four_thousand_digits_is_poison(shop, field):
    record = shop.record(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    value = record.value.replace(b'"%s":%d' % (field.encode(), T0), b'"%s":%s' % (field.encode(), b"9" * 4000))
    with pytest.raises(Poison, match="invalid_record"):
        shop.take(record.__class__(record.topic, 0, 99, T0, b"k", value))


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.00099])
def test_an_update_is_not_asked_for_more_often_than_each_millisecond(seconds):
    """The next one is counted up in whole milliseconds: by none of them the count would never end."""
    with pytest.raises(ValueError, match="flush_s"):
        CorrelateConfig(flush_s=seconds)


@pytest.mark.parametrize(
    "shortest", [{"flush_s": 0.001}, {"open_hold_s": 0.0, "opener_window_s": 0.0}, {"stale_s": 1e-9}, {"alert_expiry_s": 1e-9}]
)
def test_the_shortest_durations_that_are_taken_do_not_stop_the_incident(shortest):
    run = Run(stage(CorrelateConfig(**shortest)))
    run.send(topology(), T0 - 1000)
    run.send(alert("orders"), T0)
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    assert phases(run.ticks(T0, 3))[0] is IncidentPhase.OPENED
