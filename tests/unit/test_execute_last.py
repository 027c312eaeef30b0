"""Of the acting path what stands between two records: that they are there when they must be, and are not when nobody may know."""

from __future__ import annotations

from models.execution.log import ActionLog, fold
from schemas.actions import ACTION_EVENTS, Finished, FinishStatus, Grant, RefusalReason, Refused, Started
from schemas.approvals import Proposal
from schemas.config.policy import Policy
from tests.acting_world import ACTIONS, T0, World, proposal


def granted(world: World, of: Proposal | None = None) -> World:
    """Bring a live action as far as its grant; nothing of it is performed yet."""
    world.tick(2)
    world.start_execute()
    world.approved(of)
    while sum(running.run(world.logs) for running in world.stages.values()):
        pass
    return world


def test_started_is_on_the_log_when_the_target_is_called() -> None:
    world, seen = World(), []

    async def look() -> None:
        seen.append(len(world.logs.events(ACTIONS, Started)))

    world.target.during = look
    granted(world).perform()
    assert seen == [1]


def test_what_was_done_is_written() -> None:
    world = granted(World())
    world.perform()
    (action,) = world.target.effects
    assert [event.action for event in world.logs.events(ACTIONS, Finished)] == [action]


def test_a_begun_action_is_never_refused_because_its_logs_cannot_be_read() -> None:
    """Given an action whose answer was lost, when the logs stay unreadable beyond all patience, then it stays begun."""
    world = World()
    world.target.lost = 1
    granted(world).perform()
    assert world.views is not None
    world.views.incidents.unreadable = True
    world.logs.now += int(Policy().acting.patience_s * 10_000)
    world.perform()
    assert world.logs.events(ACTIONS, Refused) == []
    world.views.incidents.unreadable = False
    world.perform()
    assert [event.looked_up for event in world.logs.events(ACTIONS, Finished)] == [True]


def test_without_an_executor_a_live_action_is_refused_with_the_setting_that_is_missing() -> None:
    world = World()
    world.executor = None
    granted(world).perform()
    (refused,) = world.logs.events(ACTIONS, Refused)
    assert refused.reason is RefusalReason.NO_EXECUTOR
    assert "AIRRA_EXECUTOR" in refused.detail


def test_a_proposal_that_expired_between_its_grant_and_its_turn_is_not_done() -> None:
    world = granted(World(), proposal(expires_at=T0 + 3000))
    world.logs.now = T0 + 3001
    world.perform()
    assert [event.reason for event in world.logs.events(ACTIONS, Refused)] == [RefusalReason.EXPIRED]


def test_a_grant_that_names_another_decision_is_not_done() -> None:
    world = granted(World())
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.logs.write(ACTIONS, grant.model_copy(update={"id": "act-forged", "decision": "dec-forged"}))
    world.perform()
    assert [(event.action, event.reason) for event in world.logs.events(ACTIONS, Refused)] == [("act-forged", RefusalReason.NOT_APPROVED)]
    assert world.target.effects == [grant.id]


def test_of_two_ends_of_an_action_the_first_counts() -> None:
    world = granted(World())
    world.perform()
    log = ActionLog()
    for record in world.logs.records[ACTIONS]:
        assert fold(log, ACTION_EVENTS.validate_json(record.value), record.offset)
    (finished,) = world.logs.events(ACTIONS, Finished)
    again = finished.model_copy(update={"id": "fin-again", "status": FinishStatus.FAILED})
    assert not fold(log, again, log.offset + 1)
    assert log.closed[finished.action].status is FinishStatus.SUCCEEDED
