"""The evidence that execute acts on: fresh readings are waited for, and old or repeated ones are none."""

import pytest

from schemas.actions import RefusalReason
from schemas.signals import SeriesEvidence
from tests.acting_world import INCIDENTS, T0, World, evidence, incident
from tests.unit.execute_steps import reasons


def test_stale_evidence_is_waited_for_and_then_refused() -> None:
    world = World()
    world.approved()
    world.tick(31)
    world.start_execute()
    world.settle()
    assert reasons(world) == []
    world.tick(46)
    assert reasons(world) == [RefusalReason.EVIDENCE_STALE]
    assert world.target.effects == []


def test_fresh_evidence_ends_the_wait() -> None:
    world = World()
    world.approved()
    world.tick(31)
    world.start_execute()
    world.settle()
    world.open_incident(2)
    world.tick(1)
    assert len(world.target.effects) == 1


def test_an_incident_that_no_signal_renews_is_stale_however_often_it_is_told() -> None:
    world = World()
    world.approved()
    for version in range(2, 6):
        world.tick(10)
        told = incident(version, [evidence([4.0] * 20, world.logs.now)]).model_copy(update={"sources": ()})
        world.logs.write(INCIDENTS, told)
    world.start_execute()
    world.tick(46)
    assert reasons(world) == [RefusalReason.EVIDENCE_STALE]
    assert world.target.effects == []


@pytest.mark.parametrize(("old_s", "done"), [(600, False), (121, False), (60, True)])
def test_a_backlog_of_readings_is_no_evidence_of_now(old_s: int, done: bool) -> None:
    """config/policy.yaml: acting.lag_s, 120 s, from the newest reading to now."""
    world = World()
    world.start_execute()
    world.approved()
    world.skew = -6000  # held back, until only old readings come
    for version in range(2, 6):
        world.tick(10)
        at = world.logs.now - old_s * 1000
        world.logs.write(INCIDENTS, incident(version, [evidence([4.0] * 20, at)], at=at))
    world.skew = 0
    world.tick(10)
    assert reasons(world) == ([] if done else [RefusalReason.EVIDENCE_STALE])
    assert len(world.target.effects) == done


@pytest.mark.parametrize("openers", [[evidence([4.0] * 20, T0 - 600_000)], []])
def test_what_fell_silent_is_no_backlog_while_others_are_heard(openers: list[SeriesEvidence]) -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.skew = -6000
    for version in range(2, 6):
        world.tick(10)
        world.logs.write(INCIDENTS, incident(version, openers, at=world.logs.now))
    world.skew = 0
    world.tick(1)
    assert len(world.target.effects) == 1
