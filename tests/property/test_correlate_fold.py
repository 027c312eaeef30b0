"""correlate as a fold: a repeat, a restart or a replay at any point changes nothing."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from incident_world import CALLS, SERVICES, T0, Run, anomaly, change, health, topology

from models.correlation.members import nearest
from schemas.base import Position
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import INCIDENT_EVENTS, IncidentPhase
from schemas.kinds import ChangeType, Kind, Severity
from schemas.signals import Alert, Phase, Tick
from schemas.topics import INCIDENTS
from streams.correlate import stage

CONFIG = CorrelateConfig(max_hops=1, max_suspects=4, max_tracked=10, stale_s=60)
ALERTED = CONFIG.model_copy(update={"alerts_open": True})
KINDS = (Kind.LATENCY, Kind.ERRORS, Kind.MEMORY, Kind.CPU)


@st.composite
def logs(draw):
    """A log of signals in time order: anomalies with their phases, health, alerts, changes, ticks."""
    log, now, opened = [(topology(SERVICES, CALLS), T0)], T0, {}
    for _ in range(draw(st.integers(1, 40))):
        now += draw(st.sampled_from([0, 200, 1000, 5000, 40_000]))
        service, kind = draw(st.sampled_from(SERVICES)), draw(st.sampled_from(KINDS))
        match draw(st.sampled_from(["anomaly", "anomaly", "health", "alert", "change", "tick", "tick", "tick"])):
            case "anomaly":
                begun = opened.get((service, kind))
                phase = Phase.OPENED if begun is None else draw(st.sampled_from([Phase.CONTINUED, Phase.CLOSED]))
                begun = opened.setdefault((service, kind), now) if phase is not Phase.CLOSED else opened.pop((service, kind))
                log.append((anomaly(service, kind, phase, now, opened_at=begun, z=draw(st.floats(3, 50))), now))
            case "health":
                log.append((health(service, kind, now, anomalous=int((service, kind) in opened)), now))
            case "alert":
                log.append((alert(service, now, firing=draw(st.booleans())), now))
            case "change":
                log.append((change(draw(st.sampled_from(ChangeType)), service, "1", "2", at=now), now))
            case "tick":
                log.append((Tick(at=now), now))
    return [*log, *((Tick(at=now + 1000 * s), now + 1000 * s) for s in range(1, 45))]


def alert(service: str, at: int, *, firing: bool) -> Alert:
    source = Position(topic="airra.alerts.v1", partition=0, offset=at % 100_000)
    told = {"name": "Slow", "severity": Severity.CRITICAL, "firing": firing, "count": 1, "first": at, "last": at, "source": source}
    return Alert(id=f"al-{service}-{at}", fingerprint=service, service=service, **told)


def records(run: Run, log):
    return [run.record(model, now) for model, now in log]


@settings(max_examples=30, deadline=None)
@given(logs(), st.data())
def test_a_restart_at_any_point_gives_the_same_outputs(log, data):
    straight, broken = Run(stage(CONFIG)), Run(stage(CONFIG))
    cut = data.draw(st.integers(0, len(log)))
    for i, record in enumerate(records(straight, log)):
        if i == cut:
            broken.state = broken.stage.restore(broken.stage.snapshot(broken.state))
        assert broken.take(record) == straight.take(record)
    assert broken.stage.snapshot(broken.state) == straight.stage.snapshot(straight.state)


@settings(max_examples=30, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_records_told_twice_change_no_output(log, random):
    once, twice = Run(stage(CONFIG)), Run(stage(CONFIG))
    for record in records(once, log):
        once.take(record)
        twice.take(record)
        if random.random() < 0.5:
            assert twice.take(record) == []
    assert twice.outputs == once.outputs


@settings(max_examples=30, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_a_producer_that_repeats_its_last_records_changes_no_output(log, random):
    """What a crash repeats comes later in the log, with the same ids: the outputs differ in nothing. A tick more is a tick."""
    once, again = Run(stage(CONFIG)), Run(stage(CONFIG))
    recent = []
    for record in records(once, log):
        once.take(record)
        again.take(record)
        recent = [*recent, record][-3:] if b'"type":"tick"' not in record.value else recent
        if random.random() < 0.2:
            for repeat in recent:
                again.take(repeat.__class__(repeat.topic, 0, repeat.offset + 10_000, record.timestamp, repeat.key, repeat.value))
    assert [out.value for out in again.outputs] == [out.value for out in once.outputs]


@settings(max_examples=25, deadline=None)
@given(logs())
def test_versions_count_up_and_a_resolved_incident_says_nothing_more(log):
    run = Run(stage(CONFIG))
    for record in records(run, log):
        run.take(record)
    seen = {}
    for out in run.outputs:
        if out.topic == INCIDENTS.name:
            incident = INCIDENT_EVENTS.validate_json(out.value)
            version, phase = seen.get(incident.incident, (0, None))
            assert incident.version == version + 1
            assert phase is not IncidentPhase.RESOLVED
            assert (incident.phase is IncidentPhase.OPENED) == (incident.version == 1)
            seen[incident.incident] = (incident.version, incident.phase)


@settings(max_examples=30, deadline=None)
@given(logs())
def test_after_a_tick_nothing_waits_near_an_open_incident_and_no_suspects_alert_leaves_it_a_warning(log):
    run = Run(stage(ALERTED))
    for (signal, _), record in zip(log, records(run, log), strict=True):
        run.take(record)
        if isinstance(signal, Tick):
            waiting = run.state.waiting.values()
            assert all(nearest(run.state, one.anomaly.evidence.service, ALERTED) is None for one in waiting)
            firing = {one.service for one in run.state.alerts.values() if one.firing}
            assert all(one.severity is Severity.CRITICAL for one in run.state.incidents.values() if one.members() & firing)
