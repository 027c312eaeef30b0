"""What an action leaves behind: its undo is done only when it was asked for, and only of what is as the action left it."""

import pytest

from models.execution.params import left_by
from schemas.actions import ActionSpec, Grant, Preconditions, RefusalReason, Refused
from schemas.approvals import UndoRequest
from schemas.incidents import IncidentPhase
from schemas.kinds import ActionName
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, RESTART, SCALE, T0, World, evidence, incident, proposal
from tests.unit.execute_steps import reasons

OFF = ActionSpec(action=ActionName.TOGGLE_FEATURE_FLAG, service="orders", params={"flag": "slow", "enabled": False})
ON = OFF.model_copy(update={"params": {"flag": "slow", "enabled": True}})


def ask_to_undo(world: World) -> None:
    done = world.finished()[0]
    told = {"action": done.action, "proposal": done.proposal, "incident": done.incident}
    world.logs.write(APPROVALS, UndoRequest(id="undo-1", reason="worse", at=world.logs.now, **told))
    world.settle()


def toggled(flags: dict | None) -> World:
    """A world with a flag found on and approved to be turned off, on a target that says these flags."""
    world = World()
    world.start_execute()
    if flags is not None:
        world.target.facts["flags"] = flags
    world.approved(proposal(spec=OFF, undo=ON, preconditions=Preconditions(workers=2, release="v1", flags={"slow": True})))
    world.settle()
    return world


def test_an_undo_that_was_asked_for_is_done_whatever_the_incident_looks_like() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    (done,) = world.finished()
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0], T0)], phase=IncidentPhase.RESOLVED))
    world.tick(40)
    told = {"action": done.action, "proposal": done.proposal, "incident": done.incident}
    world.logs.write(APPROVALS, UndoRequest(id="undo-1", reason="worse", at=world.logs.now, **told))
    world.settle()
    assert [event.undo_of for event in world.finished()] == [None, done.action]
    assert world.target.facts["workers"] == 2
    assert world.notices()[-1] == "undone"


def test_an_undo_that_nobody_asked_for_is_refused() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    (grant,) = world.logs.events(ACTIONS, Grant)
    forged = grant.model_copy(update={"id": "act-forged", "undo_of": grant.id, "spec": grant.undo, "undo": None})
    world.logs.write(ACTIONS, forged)
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_APPROVED]
    assert len(world.target.effects) == 1


def test_an_undo_of_what_somebody_has_changed_since_is_refused_and_a_humans() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    world.target.facts["workers"] = 16
    ask_to_undo(world)
    assert reasons(world) == [RefusalReason.TARGET_CHANGED]
    assert world.logs.events(ACTIONS, Refused)[0].detail == "workers was 4 and is 16"
    assert world.target.facts["workers"] == 16
    assert world.notices()[-1] == "escalated"


def test_an_undo_does_not_mind_what_its_action_did_not_touch() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    world.target.facts["release"] = "v2"
    ask_to_undo(world)
    assert world.target.facts == {"workers": 2, "release": "v2"}


def test_an_undo_granted_for_another_target_than_its_action_left_is_refused() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    world.start_execute()
    world.execute = None
    ask_to_undo(world)
    undo = world.logs.events(ACTIONS, Grant)[-1]
    world.logs.records[ACTIONS].pop()
    world.logs.write(ACTIONS, undo.model_copy(update={"preconditions": Preconditions(workers=16)}))
    world.target.facts["workers"] = 16
    world.start_execute()
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_APPROVED]
    assert len(world.target.effects) == 1


@pytest.mark.parametrize("flags", [{"slow": False}, {"other": True}, {"slow": 1}, {}, None])
def test_a_flag_that_is_not_as_its_change_left_it_refuses(flags: dict | None) -> None:
    world = toggled(flags)
    assert reasons(world) == [RefusalReason.TARGET_CHANGED]
    assert world.target.effects == []


def test_a_flag_that_is_as_its_change_left_it_is_toggled_and_its_undo_minds_who_moved_it_since() -> None:
    world = toggled({"slow": True, "other": False})
    assert world.target.facts["flags"] == {"slow": False, "other": False}
    world.target.facts["flags"] = {"slow": False, "other": True}
    ask_to_undo(world)
    assert world.target.facts["flags"] == {"slow": True, "other": True}

    moved = toggled({"slow": True})
    moved.target.facts["flags"] = {"slow": True}
    ask_to_undo(moved)
    assert reasons(moved) == [RefusalReason.TARGET_CHANGED]


@pytest.mark.parametrize(
    ("spec", "after", "left"),
    [
        (SCALE, {"workers": 3, "release": "v1"}, Preconditions(workers=3)),
        (SCALE, {}, Preconditions(workers=4)),
        (SCALE, {"workers": "4"}, Preconditions(workers=4)),
        (OFF, {"flags": {"slow": False, "other": True}}, Preconditions(flags={"slow": False})),
        (OFF, {"flags": "none"}, Preconditions(flags={"slow": False})),
        (ActionSpec(action=ActionName.ROLLBACK, service="orders", params={"to": "v1"}), {"release": "v1"}, Preconditions(release="v1")),
        (RESTART, {"workers": 2}, Preconditions()),
    ],
)
def test_what_an_action_left_is_what_the_target_says_or_else_what_was_asked_for(spec: ActionSpec, after: dict, left: Preconditions) -> None:
    assert left_by(spec, after) == left
