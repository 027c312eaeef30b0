"""verify and an incident that is over before its slow action is: its last record came while the action ran."""

import pytest

from models.verification import Verification, restore, snapshot
from schemas.actions import FinishStatus
from schemas.approvals import UndoRequest
from schemas.incidents import IncidentPhase
from schemas.kinds import Kind, Verdict
from tests.acting_world import APPROVALS, INCIDENTS, OUTCOMES, T0, World, evidence, incident
from tests.unit.verify_world import finished, started


def ran(values: list[float], *, seconds: int = 60, before: float = 4.0, phase: IncidentPhase = IncidentPhase.RESOLVED) -> World:
    """An action that runs since T0; `seconds` later a record with these newest readings, that of the incident's end."""
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([before] * 10, T0)]))
    world.logs.write(INCIDENTS, started())
    world.tick(seconds)
    world.logs.write(INCIDENTS, incident(2, [evidence(values, world.logs.now)], phase=phase))
    world.tick(20)
    return world


def ended(world: World, **changes: object) -> None:
    world.logs.write(INCIDENTS, finished(at=world.logs.now, **changes))
    world.settle()


def test_an_action_in_whose_run_the_incident_was_resolved_is_a_success_when_it_ends() -> None:
    """Given an incident that resolves while its cure runs, when the cure ends, then it is a success at once and no human is called."""
    world = ran([1.0] * 10)
    assert world.logs.events(OUTCOMES) == []
    ended(world)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.correct, outcome.source.offset) == (Verdict.SUCCESS, 1, 62)
    assert (outcome.metrics[0].before, outcome.metrics[0].after) == (4.0, 1.0)
    assert world.notices() == ["executed", "verified"]


def test_the_same_is_said_after_a_restart_in_between() -> None:
    world = ran([1.0] * 10)
    running = world.stages["verify"]
    running.state = restore(snapshot(running.state))
    assert isinstance(running.state, Verification)
    ended(world)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.SUCCESS]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 1.0, 1.3, 1.0, 1.0], Verdict.PARTIAL),
        ([4.0] * 10, Verdict.INCONCLUSIVE),  # the rest of the effect may have been to come
        ([8.0] * 10, Verdict.INCONCLUSIVE),
        ([1.0] * 4, Verdict.INCONCLUSIVE),  # too few
    ],
)
def test_what_was_read_while_it_ran_waits_for_the_deadline_and_never_says_that_it_did_not_help(
    values: list[float], expected: Verdict
) -> None:
    world = ran(values)
    ended(world)
    world.tick(89)
    assert world.logs.events(OUTCOMES) == []
    world.tick(1)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.correct) == (expected, None)
    assert world.logs.events(APPROVALS, UndoRequest) == []
    assert world.notices()[-1] == "escalated"


def test_readings_of_up_to_the_start_are_none_of_after_it() -> None:
    """Given a recovery whose fifth point is that of the start itself, when the incident is resolved, then four are too few."""
    world = ran([1.0] * 5, seconds=4)
    ended(world)
    world.tick(90)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.INCONCLUSIVE]


def test_an_open_incidents_record_of_while_it_ran_says_nothing_of_after_it() -> None:
    world = ran([1.0] * 10, phase=IncidentPhase.UPDATED)
    ended(world)
    world.tick(90)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.metrics) == (Verdict.INCONCLUSIVE, ())


def test_an_action_that_failed_has_no_part_in_it() -> None:
    world = ran([1.0] * 10)
    ended(world, status=FinishStatus.FAILED)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.INCONCLUSIVE]


def test_an_incident_that_was_over_before_the_start_is_not_its_success() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 3 + [1.0] * 7, T0 + 6000)], phase=IncidentPhase.RESOLVED))
    world.logs.write(INCIDENTS, started())
    world.tick(20)
    ended(world)
    world.tick(90)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.INCONCLUSIVE]


def test_an_instance_known_before_it_does_not_stand_in_for_a_missing_one() -> None:
    """Given two instances before the action, when the bad one is missing in the last record, then the other one proves nothing."""
    world = World()
    bad, good = evidence([4.0] * 10, T0, series="i1"), evidence([1.0] * 10, T0, series="i2")
    world.logs.write(INCIDENTS, incident(1, [bad], health=[good]))
    world.logs.write(INCIDENTS, started())
    world.tick(60)
    last = evidence([1.0] * 10, world.logs.now, series="i2")
    world.logs.write(INCIDENTS, incident(2, [bad], health=[last], phase=IncidentPhase.RESOLVED))
    ended(world)
    world.tick(90)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.INCONCLUSIVE]


def test_all_signals_together_are_found_in_the_last_record_though_another_opener_joined() -> None:
    world = World()
    together = {"name": "combined", "kind": Kind.COMBINED}
    world.logs.write(INCIDENTS, incident(1, [evidence([9.0] * 10, T0, **together)]))
    world.logs.write(INCIDENTS, started())
    world.tick(60)
    readings = [evidence([1.0] * 10, world.logs.now, **together), evidence([1.0] * 10, world.logs.now)]
    world.logs.write(INCIDENTS, incident(2, readings, phase=IncidentPhase.RESOLVED))
    ended(world)
    assert [outcome.verdict for outcome in world.logs.events(OUTCOMES)] == [Verdict.SUCCESS]
