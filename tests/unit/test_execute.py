"""execute: the last check refuses, waits or lets pass; what is begun is looked up, never blindly repeated."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from agents.execute.executors import Answer, Status
from models.execution.log import ActionLog, fold
from models.execution.params import left_by
from schemas.actions import ActionSpec, Epoch, Finished, FinishStatus, Grant, Preconditions, RefusalReason, Refused, Started
from schemas.approvals import UndoRequest
from schemas.base import Position
from schemas.incidents import IncidentPhase
from schemas.kinds import ActionName, Mode
from schemas.signals import SeriesEvidence
from streams.harness.emit import SOURCE_HEADER
from streams.harness.errors import Fatal, Retryable
from streams.harness.stage import Output
from tests.acting_world import (
    ACTIONS,
    APPROVALS,
    INCIDENTS,
    RESTART,
    SCALE,
    T0,
    Killed,
    Target,
    World,
    arming,
    command,
    evidence,
    incident,
    proposal,
)


def reasons(world: World) -> list[RefusalReason]:
    return [event.reason for event in world.logs.events(ACTIONS, Refused)]


def test_an_approved_live_action_is_done_once_and_copied_with_its_source() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    kinds = [event.type for event in world.logs.events(ACTIONS)]
    assert kinds == ["epoch", "grant", "started", "finished"]
    assert len(world.target.effects) == 1
    assert world.finished()[0].status is FinishStatus.SUCCEEDED
    assert world.finished()[0].after["workers"] == 4
    started = world.logs.events(ACTIONS, Started)[0]
    assert (started.epoch, started.cause, started.confidence, started.undo is not None) == (0, "cpu_spike", 0.9, True)
    assert (started.seen.incident_version, started.seen.arming) == (1, "arm-1")
    for topic in (APPROVALS, INCIDENTS):
        sources = [record.header(SOURCE_HEADER) for record in world.logs.records[topic] if record.header(SOURCE_HEADER)]
        assert sources == [str(Position(topic=ACTIONS, partition=0, offset=offset)).encode() for offset in (2, 3)]


def test_a_dry_run_takes_the_whole_path_and_touches_nothing() -> None:
    world = World(dry_run_mode=True)
    world.start_execute()
    world.approved(mode=Mode.DRY_RUN)
    world.settle()
    (finished,) = world.finished()
    assert (finished.mode, finished.status, finished.before["workers"], finished.after["workers"]) == ("dry_run", "succeeded", 2, 4)
    assert world.target.effects == []


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


@pytest.mark.parametrize("skew", [-6000, 6000])
def test_a_clock_that_is_apart_refuses_in_the_end(skew: int) -> None:
    world = World()
    world.skew = skew
    world.start_execute()
    world.approved()
    for version in range(2, 8):
        world.tick(10)
        world.open_incident(version)
    assert reasons(world) == [RefusalReason.CLOCK_SKEW]


def test_a_clock_set_back_does_not_prolong_the_wait() -> None:
    world = World()
    world.skew = -6000
    world.start_execute()
    world.approved()
    world.tick(1)
    world.skew = -3_600_000
    for version in range(2, 7):
        world.open_incident(version)
        world.tick(10)
    assert reasons(world) == [RefusalReason.CLOCK_SKEW]
    assert world.target.effects == []


def test_a_clock_set_forward_does_not_cut_the_look_up_short() -> None:
    world = World()
    world.start_execute()
    world.target.lost, world.target.down_when_lost = 1, True
    world.approved()
    world.tick(1)
    world.skew = 3_600_000
    world.tick(5)
    assert world.finished() == [], "it is still being looked up"
    world.target.down = False
    world.tick(1)
    (finished,) = world.finished()
    assert (finished.status, finished.looked_up) == (FinishStatus.SUCCEEDED, True)
    assert len(world.target.effects) == 1


@pytest.mark.parametrize("step", [-3_600_000, 3_600_000])
def test_a_clock_set_between_the_check_and_the_act_holds_it_back(step: int) -> None:
    world = World()
    world.start_execute()
    world.approved()
    assert world.views is not None
    barrier, calls = world.views.actions.barrier, 0

    async def stepping(timeout_s: float) -> Any:
        nonlocal calls
        calls += 1
        world.skew = step if calls == 2 else world.skew  # the barrier after the write-ahead
        return await barrier(timeout_s)

    world.views.actions.barrier = stepping  # type: ignore[method-assign]
    world.tick(1)
    assert any("too long from the check to the act" in said for said in world.slept)
    assert world.target.effects == []


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


def test_a_failed_action_says_so() -> None:
    class Refusing(type(World().target)):
        async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
            return Answer(Status.FAILED, detail="400 bad_action")

    world = World()
    world.executor = world.target = Refusing()
    world.start_execute()
    world.approved()
    world.settle()
    assert [(event.status, event.detail) for event in world.finished()] == [(FinishStatus.FAILED, "400 bad_action")]


def test_an_older_owner_stops_and_does_nothing() -> None:
    world = World()
    older = world.start_execute()
    world.approved()
    for _ in range(3):
        for running in world.stages.values():
            running.run(world.logs)
    world.fold_execute()
    (intent,) = older.pending()
    world.logs.write(ACTIONS, Epoch(id="epo-other", owner="another", at=T0))
    with pytest.raises(Fatal, match="newer executor"):
        asyncio.run(older.perform(intent, world.append))
    assert world.target.effects == []
    assert world.logs.events(ACTIONS, Started) == []


def test_a_zombie_that_wakes_in_mid_act_has_no_effect_and_no_word() -> None:
    """The older owner is stopped with its call on the way; the next one acts; then the older one's call and result arrive."""
    world = World()
    zombie = world.start_execute()
    world.approved()
    for _ in range(3):
        for running in world.stages.values():
            running.run(world.logs)
    world.fold_execute()
    (intent,) = zombie.pending()
    views = world.views

    async def meanwhile() -> None:
        await asyncio.to_thread(world.start_execute)
        await asyncio.to_thread(world.settle)

    world.target.during = meanwhile
    with pytest.raises(Fatal, match="newer executor"):
        asyncio.run(zombie.perform(intent, world.append))
    assert views is not world.views
    assert len(world.target.effects) == 1
    assert len(world.finished()) == 1


def test_a_zombies_end_does_not_count_and_is_not_copied() -> None:
    world = World()
    world.start_execute()
    world.approved()
    for _ in range(3):
        for running in world.stages.values():
            running.run(world.logs)
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.start_execute()
    zombie = Finished(
        id="fin-zombie",
        action=grant.id,
        proposal=grant.proposal,
        incident=grant.incident,
        mode=grant.mode,
        spec=grant.spec,
        status=FinishStatus.FAILED,
        epoch=0,
        at=T0,
    )
    world.logs.write(ACTIONS, zombie)
    world.settle()
    assert len(world.target.effects) == 1
    assert [event.status for event in world.finished(INCIDENTS)] == [FinishStatus.SUCCEEDED]
    assert [event.status for event in world.finished(APPROVALS)] == [FinishStatus.SUCCEEDED]


def test_a_grant_repeated_after_its_end_was_committed_changes_nothing() -> None:
    world = World()
    world.start_execute()
    world.approved()
    world.settle()
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.target.facts["workers"] = 2
    world.committed = len(world.logs.records[ACTIONS])
    world.start_execute()
    world.logs.write(ACTIONS, grant)
    world.settle()
    assert world.execute.pending() == []
    assert reasons(world) == []
    assert len(world.target.effects) == 1
    assert len(world.finished()) == 1


def granted_world() -> World:
    world = World()
    world.start_execute()
    world.approved()
    for _ in range(3):
        for running in world.stages.values():
            running.run(world.logs)
    world.fold_execute()
    return world


def test_an_owner_that_is_replaced_while_it_writes_its_start_does_not_act() -> None:
    world = granted_world()
    (intent,) = world.execute.pending()

    async def overtaken(outputs: Sequence[Output]) -> list[Position]:
        world.logs.write(ACTIONS, Epoch(id="epo-other", owner="another", at=T0))
        return await world.append(outputs)

    with pytest.raises(Fatal, match="newer executor"):
        asyncio.run(world.execute.perform(intent, overtaken))
    assert len(world.logs.events(ACTIONS, Started)) == 1
    assert world.target.effects == []


def test_a_process_that_stood_still_between_check_and_act_looks_again_before_it_acts() -> None:
    world = granted_world()
    (intent,) = world.execute.pending()

    async def slow(outputs: Sequence[Output]) -> list[Position]:
        positions = await world.append(outputs)
        world.logs.now += 6000
        return positions

    with pytest.raises(Retryable, match="too long"):
        asyncio.run(world.execute.perform(intent, slow))
    assert world.target.effects == []
    world.tick(1)
    assert len(world.target.effects) == 1
    assert len(world.logs.events(ACTIONS, Started)) == 2


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


def ask_to_undo(world: World) -> None:
    done = world.finished()[0]
    told = {"action": done.action, "proposal": done.proposal, "incident": done.incident}
    world.logs.write(APPROVALS, UndoRequest(id="undo-1", reason="worse", at=world.logs.now, **told))
    world.settle()


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


OFF = ActionSpec(action=ActionName.TOGGLE_FEATURE_FLAG, service="orders", params={"flag": "slow", "enabled": False})
ON = OFF.model_copy(update={"params": {"flag": "slow", "enabled": True}})


def toggled(flags: dict | None) -> World:
    """A world with a flag found on and approved to be turned off, on a target that says these flags."""
    world = World()
    world.start_execute()
    if flags is not None:
        world.target.facts["flags"] = flags
    world.approved(proposal(spec=OFF, undo=ON, preconditions=Preconditions(workers=2, release="v1", flags={"slow": True})))
    world.settle()
    return world


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


def test_the_log_of_actions_is_bounded_and_what_is_begun_is_dropped_last() -> None:
    world = granted_world()
    (grant,) = world.logs.events(ACTIONS, Grant)
    told = {"action": "act-1", "proposal": grant.proposal, "incident": grant.incident, "mode": grant.mode, "spec": grant.spec, "at": T0}
    log = ActionLog(max_open=3)
    events = [grant.model_copy(update={"id": f"act-{number}"}) for number in range(6)]
    events.insert(2, Started(id="sta-1", epoch=0, seen={}, **told))
    for offset, event in enumerate(events):
        fold(log, event, offset)
    assert (list(log.open), list(log.started), log.evicted) == (["act-1", "act-4", "act-5"], ["act-1"], 3)
    strangers = [Started(id=f"sta-{n}", epoch=0, seen={}, **{**told, "action": f"act-{n}"}) for n in range(10, 15)]
    for offset, event in enumerate(strangers, start=10):
        fold(log, event, offset)
    assert (list(log.started), log.evicted) == (["act-1", "act-13", "act-14"], 6)


def test_what_execute_and_report_drop_is_counted_on_a_metric() -> None:
    def counts() -> list[float]:
        names = [("airra_report_evicted_entries_total", {})]
        names += [("airra_execute_evicted_entries_total", {"fold": fold}) for fold in ("intents", "actions")]
        return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in names]

    before = counts()
    world = granted_world()
    world.execute._log.max_open = world.execute._sides.actions.max_open = world.stages["report"].state.max_open = 1
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.logs.write(ACTIONS, grant.model_copy(update={"id": "act-2"}))
    world.stages["report"].run(world.logs)
    world.fold_execute()
    asyncio.run(world.views.barrier(1.0))
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1]
