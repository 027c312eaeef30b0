"""What is told twice counts once, what is no number counts never: at each fold, by its own safeguard and not by a later one's luck."""

from __future__ import annotations

import math

import pytest

from agents.reason import stage as reason_stage
from cli.config import load
from models.approvals import ApprovalBook, fold, pending
from models.verification.take import Taken, take
from schemas.actions import Finished, Grant
from schemas.base import Position
from schemas.config.correlate import CorrelateConfig
from schemas.config.policy import Policy
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import INCIDENT_EVENTS, Incident, IncidentPhase
from schemas.kinds import Kind, Mode
from schemas.signals import Phase, Tick
from schemas.topics import INCIDENTS, OUTCOMES
from streams.correlate import stage as correlate_stage
from streams.detect import stage as detect_stage
from tests.acting_world import ACTIONS, APPROVALS, T0, World, command, proposal
from tests.unit import incident_world
from tests.unit.detect_feed import CONFIG, Log, series
from tests.unit.incident_world import Run
from tests.unit.test_policy import SHIPPED

POOL = series("cart", Kind.POOL)


def test_rows_that_normalise_repeats_change_nothing_however_they_are_cut() -> None:
    log = Log().define(POOL)
    log.batch([(POOL, T0 + 1000 * number, 0.1, number) for number in range(10)])
    log.batch([(POOL, T0 + 1000 * number, 0.1, number) for number in range(4, 10)])
    stage = detect_stage(CONFIG)
    state = stage.restore(None)
    saved = []
    for record in log.records:
        assert stage.apply(state, record, record.timestamp) == [] or record.offset == 1
        saved.append(stage.snapshot(state))
    assert saved[2] == saved[1]


def test_a_value_that_is_no_number_leaves_the_state_as_it_was() -> None:
    log = Log().define(POOL)
    log.rows([(POOL, T0, 0.1)])
    log.rows([(POOL, T0 + 1000, math.nan)])
    stage = detect_stage(CONFIG)
    state = stage.restore(None)
    for record in log.records:
        stage.apply(state, record, record.timestamp)
    assert state.waiting.rows["value"].tolist() == [0.1]


def test_an_older_reading_of_a_services_health_is_no_news() -> None:
    run, t0 = Run(correlate_stage(CorrelateConfig())), incident_world.T0
    run.send(incident_world.health("orders", Kind.LATENCY, t0 + 10_000, value=2.0), t0 + 10_000)
    run.send(incident_world.health("orders", Kind.LATENCY, t0, value=1.0), t0 + 11_000)
    run.send(incident_world.anomaly("orders", Kind.ERRORS, Phase.OPENED, t0 + 11_000), t0 + 11_000)
    told = [INCIDENT_EVENTS.validate_json(one.value) for one in run.ticks(t0 + 11_000, 3) if one.topic == INCIDENTS.name]
    (opened,) = [event for event in told if isinstance(event, Incident) and event.phase is IncidentPhase.OPENED]
    assert [reading.value for reading in opened.health if reading.kind is Kind.LATENCY] == [2.0]


def test_an_older_version_of_an_incident_does_not_take_the_place_of_a_newer_one() -> None:
    run = Run(reason_stage(load(RunbookCatalogue, SHIPPED.parent / "runbooks.yaml")))
    leak = incident_world.incident(incident_world.suspect(incident_world.reading("orders", Kind.MEMORY, 200e6, z=9)))
    for number, after_s in ((1, 0), (3, 1), (2, 2)):
        run.send(leak.model_copy(update={"version": number, "id": f"ire-{number}"}), incident_world.T0 + 1000 * after_s)
    (case,) = run.state.cases.values()
    assert case.incident.version == 3


def test_a_record_of_the_approvals_log_that_is_read_again_changes_nothing() -> None:
    book, of = ApprovalBook(), proposal()
    at = [Position(topic=APPROVALS, partition=0, offset=number) for number in range(2)]
    fold(book, of, T0, at[0])
    fold(book, command(of), T0 + 1, at[1])
    fold(book, of, of.expires_at + 1, at[0])
    assert book.newest == T0 + 1
    assert book.offset == 1
    assert pending(book) == []


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.DRY_RUN])
def test_a_decision_that_is_announced_again_grants_nothing_more(mode: Mode) -> None:
    """A second live one would wait for the target that the first has; a dry run waits for nothing."""
    world = World()
    of = world.approved(mode=mode)
    world.settle()
    (announced,) = [record for record in world.logs.records[APPROVALS] if b'"type":"decision"' in record.value]
    world.logs.write(APPROVALS, world.logs.events(APPROVALS)[announced.offset])
    world.settle()
    assert [grant.proposal for grant in world.logs.events(ACTIONS, Grant)] == [of.id]


def test_a_dry_run_holds_no_target_and_spends_no_budget() -> None:
    world = World()
    for name, mode in (("inc-1", Mode.DRY_RUN), ("inc-2", Mode.LIVE)):
        of = proposal(name)
        world.logs.write(APPROVALS, of)
        world.logs.write(APPROVALS, command(of, mode=mode))
        world.settle()
    assert [(grant.incident, grant.mode) for grant in world.logs.events(ACTIONS, Grant)] == [("inc-1", Mode.DRY_RUN), ("inc-2", Mode.LIVE)]
    state = world.stages["admit"].state
    assert (len(state.leases), len(state.spent)) == (1, 1)


def watched() -> tuple[World, Policy]:
    """Return a world in which an action has finished and is under observation."""
    world = World()
    world.tick(2)
    world.start_execute()
    world.approved()
    world.settle()
    assert world.logs.events(INCIDENTS.name, Finished)
    return world, world.policy


def test_a_record_of_the_incidents_log_that_is_read_again_is_no_news_of_the_time() -> None:
    world, policy = watched()
    state, first = world.stages["verify"].state, Position(topic=INCIDENTS.name, partition=0, offset=0)
    deadline = world.logs.now + int(policy.verification.deadline_s * 1000)
    assert take(state, Tick(at=deadline + 1), deadline + 1, first, policy.verification) == Taken()
    assert len(state.watches) == 1


def test_an_end_that_is_told_again_after_its_verdict_is_not_judged_again() -> None:
    world, policy = watched()
    world.tick(int(policy.verification.deadline_s) + 2)
    (outcome,) = world.logs.records[OUTCOMES.name]
    (finished,) = world.logs.events(INCIDENTS.name, Finished)
    world.logs.write(INCIDENTS.name, finished)
    world.tick(int(policy.verification.deadline_s) + 2)
    assert world.logs.records[OUTCOMES.name] == [outcome]
