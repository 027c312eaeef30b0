"""execute's last check: each thing without which an action is not begun, and the reason that is told."""

import asyncio

import pytest

from agents.execute.executors import Answer, Status
from schemas.actions import ActionSpec, Grant, RefusalReason
from schemas.incidents import IncidentPhase
from schemas.kinds import ActionName, Mode
from tests.acting_world import (
    ACTIONS,
    APPROVALS,
    INCIDENTS,
    RESTART,
    SCALE,
    T0,
    Target,
    World,
    arming,
    command,
    evidence,
    incident,
    proposal,
)
from tests.unit.execute_steps import granted_world, reasons


def test_the_setting_refuses_live_whatever_was_approved() -> None:
    world = World(dry_run_mode=True)
    world.start_execute()
    world.approved()
    world.settle()
    assert reasons(world) == [RefusalReason.LIVE_DISABLED]
    assert world.target.effects == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([arming(armed=False, name="2")], "taken back"),
        ([arming(until=T0 - 1, name="2")], "over"),
        ([arming(armed=False, name="2"), arming(name="1")], "an old arming repeated"),
    ],
)
def test_without_an_arming_in_force_it_refuses(words: list, why: str) -> None:
    world = World()
    world.start_execute()
    world.approved()
    for word in words:
        world.logs.write(APPROVALS, word)
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_ARMED], why


def test_an_arming_of_another_cluster_does_not_count() -> None:
    world = World()
    world.start_execute()
    of = proposal()
    world.open_incident()
    for word in (arming(cluster="elsewhere"), of, command(of)):
        world.logs.write(APPROVALS, word)
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_ARMED]


def test_a_resolved_incident_refuses() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0], T0)], phase=IncidentPhase.RESOLVED))
    world.settle()
    assert reasons(world) == [RefusalReason.INCIDENT_CLOSED]


@pytest.mark.parametrize("facts", [{"workers": 3, "release": "v1"}, {"workers": 2, "release": "v2"}])
def test_a_target_that_changed_refuses(facts: dict) -> None:
    world = World()
    world.start_execute()
    world.target.facts = facts
    world.approved()
    world.settle()
    assert reasons(world) == [RefusalReason.TARGET_CHANGED]


def test_a_service_that_the_target_does_not_know_refuses() -> None:
    world = World()
    world.start_execute()
    world.approved(proposal(spec=RESTART.model_copy(update={"service": "nowhere"}), undo=None))
    world.settle()
    assert reasons(world) == [RefusalReason.TARGET_CHANGED]


@pytest.mark.parametrize(
    "spec",
    [
        ActionSpec(action=ActionName.DRAIN, service="orders"),
        ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": True}),
        ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 4, "now": 1}),
        ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 0}),
        ActionSpec(action=ActionName.ROLLBACK, service="orders", params={"to": ""}),
    ],
)
def test_an_unknown_action_or_parameter_refuses(spec: ActionSpec) -> None:
    world = World()
    world.start_execute()
    world.approved(proposal(spec=spec))
    world.settle()
    assert reasons(world) == [RefusalReason.UNKNOWN_ACTION]


def test_without_an_executor_live_refuses_and_a_dry_run_does_not() -> None:
    world = World()
    world.executor = None
    world.start_execute()
    world.approved()
    world.approved(proposal("inc-2"), mode=Mode.DRY_RUN)
    world.settle()
    assert reasons(world) == [RefusalReason.NO_EXECUTOR]
    assert [event.mode for event in world.finished()] == [Mode.DRY_RUN]


def test_what_came_onto_the_logs_since_they_were_last_read_counts_before_acting() -> None:
    """Given views that have read all there was, when the incident is resolved at the last moment, then the barrier before the act tells."""
    world = granted_world()
    assert world.views is not None
    asyncio.run(world.views.barrier(1.0))
    world.open_incident(2, phase=IncidentPhase.RESOLVED)
    world.perform()
    assert world.target.effects == []
    assert reasons(world) == [RefusalReason.INCIDENT_CLOSED]


def test_an_unreadable_view_refuses_in_the_end() -> None:
    world = World()
    world.start_execute()
    world.views.incidents.unreadable = True
    world.approved()
    world.tick(1)
    assert "was not read within" in world.slept[0]
    world.tick(46)
    assert reasons(world) == [RefusalReason.VIEW_UNREADABLE]


def test_an_unreachable_target_refuses_in_the_end() -> None:
    world = World()
    world.start_execute()
    world.target.down = True
    world.approved()
    world.tick(47)
    assert reasons(world) == [RefusalReason.TARGET_UNREADABLE]


def test_a_lease_that_is_over_refuses() -> None:
    world = World()
    world.approved()
    world.settle()
    world.tick(121)
    world.open_incident(2)
    world.start_execute()
    world.settle()
    assert reasons(world) == [RefusalReason.LEASE_EXPIRED]


def test_a_grant_that_nobody_approved_refuses() -> None:
    world = World()
    world.start_execute()
    world.open_incident()
    of = proposal()
    world.logs.write(APPROVALS, arming())
    world.logs.write(APPROVALS, of)
    forged = Grant(
        id="act-forged",
        proposal=of.id,
        incident=of.incident,
        decision="dec-forged",
        digest=of.digests.live,
        mode=Mode.LIVE,
        spec=SCALE,
        preconditions=of.chosen.preconditions,
        lease_until=T0 + 60_000,
        at=T0,
    )
    world.logs.write(ACTIONS, forged)
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_APPROVED]
    assert world.target.effects == []


@pytest.mark.parametrize(
    "changes", [{"spec": RESTART}, {"undo": RESTART}, {"digest": "other"}, {"mode": Mode.DRY_RUN}, {"incident": "inc-9"}]
)
def test_a_grant_of_something_else_than_was_approved_refuses(changes: dict) -> None:
    world = World()
    world.approved()
    world.open_incident(name="inc-9")
    world.settle()
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.logs.records[ACTIONS].clear()
    for running in world.stages.values():
        if running.stage.topic == ACTIONS:
            running.next = 0
    world.start_execute()
    world.logs.write(ACTIONS, grant.model_copy(update=changes))
    world.settle()
    assert reasons(world) == [RefusalReason.NOT_APPROVED]
    assert world.target.effects == []


def test_a_second_live_action_on_a_target_waits_for_the_one_begun_there_whatever_admit_thought() -> None:
    """admit has given up the first one's lease, for its start was not reported in time; the actions log knows better."""

    class Busy(Target):
        busy = True

        async def look_up(self, action: str, token: int) -> Answer:
            return Answer(Status.IN_PROGRESS) if self.busy else await super().look_up(action, token)

    world = World()
    world.executor = world.target = Busy(lost=1)
    world.start_execute()
    world.approved(proposal(spec=RESTART, undo=None))
    world.settle()
    (first,) = world.target.effects
    world.approved(proposal("inc-2", spec=RESTART, undo=None))
    world.settle()
    waiting = world.stages["admit"].state.waiting.pop().grant
    world.logs.write(ACTIONS, waiting.model_copy(update={"lease_until": T0 + 120_000}))
    world.tick(3)
    assert world.target.effects == [first]
    assert any("lease_held" in why for why in world.slept)
    world.target.busy = False
    world.tick(2)
    assert world.target.effects == [first, waiting.id]
