"""execute's look-up: what is begun is asked after, never blindly repeated, and unknown only when nothing can be learned."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.execute.executors import Answer, Status
from schemas.actions import FinishStatus, RefusalReason
from schemas.base import Position
from schemas.incidents import IncidentPhase
from streams.harness.errors import Retryable
from streams.harness.stage import Output
from tests.acting_world import INCIDENTS, RESTART, T0, Killed, Target, World, evidence, incident, proposal
from tests.unit.execute_steps import granted_world, reasons


def test_a_lost_answer_is_looked_up_and_not_repeated() -> None:
    world = World()
    world.start_execute()
    world.target.lost = 1
    world.approved()
    world.settle()
    world.tick(1)
    (finished,) = world.finished()
    assert (finished.status, finished.looked_up) == (FinishStatus.SUCCEEDED, True)
    assert len(world.target.effects) == 1


def test_a_begun_action_is_asked_after_and_done_once_though_the_target_looks_as_it_did_before() -> None:
    """A restart leaves what the last check compares as it was found: nothing but the look-up knows that it is done."""
    world = World()
    world.start_execute()
    world.target.lost = 1
    world.approved(proposal(spec=RESTART, undo=None))
    world.settle()
    world.tick(1)
    assert len(world.target.effects) == 1
    assert [(event.status, event.looked_up) for event in world.finished()] == [(FinishStatus.SUCCEEDED, True)]


def test_an_action_that_the_target_says_is_under_way_is_not_sent_again() -> None:
    class Busy(Target):
        async def look_up(self, action: str, token: int) -> Answer:
            return Answer(Status.IN_PROGRESS)

    world = World()
    world.executor = world.target = Busy(lost=1)
    world.start_execute()
    world.approved(proposal(spec=RESTART, undo=None))
    world.settle()
    world.tick(10)
    assert len(world.target.effects) == 1
    assert world.finished() == []


def test_a_begun_action_that_cannot_be_looked_up_ends_unknown_and_goes_to_a_human() -> None:
    world = World()
    world.start_execute()
    world.target.lost = 1
    world.target.down_when_lost = True
    world.approved()
    world.settle()
    world.tick(119)
    assert world.finished() == []
    world.tick(3)
    (finished,) = world.finished()
    assert finished.status is FinishStatus.UNKNOWN
    assert "escalated" in world.notices()
    assert len(world.target.effects) == 1


def test_a_begun_action_that_never_arrived_is_refused_only_when_no_call_can_be_under_way() -> None:
    world = granted_world()
    (intent,) = world.execute.pending()

    async def killed(outputs: Sequence[Output]) -> list[Position]:
        await world.append(outputs)
        raise Killed

    with pytest.raises(Killed):
        asyncio.run(world.execute.perform(intent, killed))
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0], T0)], phase=IncidentPhase.RESOLVED))
    world.logs.now += 1000
    world.start_execute()
    world.settle()
    world.tick(1)  # the time-out of one call, counted since this run looked: no clock of an earlier one is trusted
    assert reasons(world) == []
    world.tick(1)
    assert reasons(world) == [RefusalReason.INCIDENT_CLOSED]
    assert world.target.effects == []


def test_a_begun_action_without_an_executor_to_ask_is_never_called_refused() -> None:
    world = granted_world()
    (intent,) = world.execute.pending()
    world.target.lost = 1
    with pytest.raises(Retryable):
        asyncio.run(world.execute.perform(intent, world.append))
    world.executor = None
    world.start_execute()
    world.tick(122)
    assert reasons(world) == []
    assert [event.status for event in world.finished()] == [FinishStatus.UNKNOWN]
