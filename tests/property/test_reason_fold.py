"""reason as a fold: a repeat, a restart or a replay at any point changes nothing; ranking does not depend on order."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from incident_world import SERVICES, T0, Run, change, incident, reading, suspect

from agents.reason import stage
from models.runbooks.propose import propose
from schemas.base import Position, canonical
from schemas.config.runbooks import Cure, Runbook, RunbookCatalogue
from schemas.incidents import IncidentPhase
from schemas.kinds import ActionName, Cause, ChangeType, Kind
from schemas.signals import Tick

CATALOGUE = RunbookCatalogue(
    runbooks=(
        Runbook(name="leak", cause=Cause.MEMORY_LEAK, cures=(Cure(action=ActionName.RESTART, expected_effect="less"),)),
        Runbook(name="release", cause=Cause.DEPLOYMENT, cures=(Cure(action=ActionName.ROLLBACK, expected_effect="as before"),)),
        Runbook(
            name="load",
            cause=Cause.TRAFFIC_SPIKE,
            cures=(Cure(action=ActionName.SCALE_UP, undo=ActionName.SCALE_DOWN, expected_effect="room"),),
        ),
    )
)
KINDS = (Kind.LATENCY, Kind.ERRORS, Kind.MEMORY, Kind.UP, Kind.POOL, Kind.CACHE, Kind.RESTARTS)


@st.composite
def pictures(draw, key="inc-1", version=2, phase=IncidentPhase.UPDATED):
    """Any incident of the shop, sensible or not."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(SERVICES), st.sampled_from(KINDS)), min_size=1, max_size=8, unique=True))
    numbers = st.floats(0, 1e12) | st.floats(0, 3)
    suspects = [suspect(reading(s, k, draw(numbers), z=draw(st.floats(-1e9, 1e9)), baseline=draw(numbers))) for s, k in chosen]
    load = [reading(s, k, draw(numbers)) for s in SERVICES for k in (Kind.REQUESTS, Kind.CPU)]
    deploys = [change(ChangeType.DEPLOY, s, "v0", "v1") for s in draw(st.lists(st.sampled_from(SERVICES), max_size=2, unique=True))]
    return incident(*suspects, health=load, changes=deploys, key=key, version=version, phase=phase)


@st.composite
def logs(draw):
    log, now, versions = [], T0, {}
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([500, 4000, 9000, 21_000]))
        key = draw(st.sampled_from(["inc-1", "inc-2"]))
        if draw(st.booleans()):
            versions[key] = versions.get(key, 0) + 1
            phase = draw(st.sampled_from([IncidentPhase.UPDATED] * 4 + [IncidentPhase.RESOLVED]))
            log.append((draw(pictures(key=key, version=versions[key], phase=phase)), now))
        else:
            log.append((Tick(at=now), now))
    return [*log, (Tick(at=now + 30_000), now + 30_000)]


@settings(max_examples=30, deadline=None)
@given(logs(), st.data())
def test_a_restart_at_any_point_gives_the_same_outputs(log, data):
    straight, broken = Run(stage(CATALOGUE)), Run(stage(CATALOGUE))
    cut = data.draw(st.integers(0, len(log)))
    for i, (model, now) in enumerate(log):
        if i == cut:
            broken.state = broken.stage.restore(broken.stage.snapshot(broken.state))
        record = straight.record(model, now)
        assert broken.take(record) == straight.take(record)


@settings(max_examples=30, deadline=None)
@given(logs())
def test_records_told_twice_change_no_output(log):
    once, twice = Run(stage(CATALOGUE)), Run(stage(CATALOGUE))
    for model, now in log:
        record = once.record(model, now)
        assert twice.take(record) == once.take(record)
        assert twice.take(record) == []


@settings(max_examples=60, deadline=None)
@given(pictures(), st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_does_not_matter_and_every_proposal_can_be_written(given_incident, random):
    source = Position(topic="airra.incidents.v1", partition=0, offset=1)
    shuffled = {}
    for name in ("suspects", "health", "nodes", "calls", "changes"):
        items = list(getattr(given_incident, name))
        random.shuffle(items)
        shuffled[name] = tuple(items)
    first = propose(given_incident, CATALOGUE, source=source, at=T0)
    assert canonical(first) == canonical(propose(given_incident.model_copy(update=shuffled), CATALOGUE, source=source, at=T0))
    assert all(0.01 <= hypothesis.confidence <= 0.99 for hypothesis in first.hypotheses)
    assert first.candidates[-1].spec.action is ActionName.NONE
    assert (first.chosen is None) == (first.digests is None)
