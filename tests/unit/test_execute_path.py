"""execute's whole path: an approved action is done once, for real or dry, and its end is told."""

from agents.execute.executors import Answer, Status
from schemas.actions import ActionSpec, FinishStatus, Grant, Started
from schemas.base import Position
from schemas.kinds import Mode
from streams.harness.emit import SOURCE_HEADER
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, World
from tests.unit.execute_steps import reasons


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
