"""A kill anywhere between grant and result: the target sees one effect, the logs hold one end, every copy arrives once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.actions import Finished, FinishStatus, Refused, Started
from schemas.kinds import Verdict
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, OUTCOMES, Killed, World, evidence, incident


class Countdown:
    """Counts every append (before it is sent, and before its acknowledgement is seen) and every touch of the target; kills at some."""

    def __init__(self, kills: set[int]) -> None:
        self.kills = kills
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        if self.count in self.kills:
            raise Killed


def live_until_done(world: World, crash_stages: list[str], *, lives: int = 12) -> None:
    """Start a new life of the executor after each kill; time passes, evidence keeps coming."""
    for life in range(lives):
        try:
            world.start_execute()
            world.settle()
            for _ in range(3):
                world.tick(1)
            if world.finished(INCIDENTS):
                return
        except Killed:
            pass
        if life < len(crash_stages):
            world.stages[crash_stages[life]].crash()
        world.open_incident(life + 2)
    raise AssertionError("the action never ended")


def assert_exactly_once(world: World) -> None:
    assert len(world.target.effects) == 1
    for topic in (INCIDENTS, APPROVALS):
        ids = [event.id for event in world.finished(topic)]
        assert set(ids) == {world.finished(topic)[0].id}
    counted = [event for event in world.logs.events(ACTIONS) if isinstance(event, Finished)]
    assert len(counted) == 1
    assert counted[0].status is FinishStatus.SUCCEEDED
    assert world.logs.events(ACTIONS, Refused) == []
    first_started = next(index for index, event in enumerate(world.logs.events(ACTIONS)) if isinstance(event, Started))
    last = max(index for index, event in enumerate(world.logs.events(ACTIONS)) if isinstance(event, Started | Finished))
    assert isinstance(world.logs.events(ACTIONS)[last], Finished)
    assert first_started < last


def verify_success(world: World) -> None:
    """Let the evidence get well: exactly one outcome, whatever was repeated."""
    finished = world.logs.now
    world.tick(16)
    world.logs.write(INCIDENTS, incident(99, [evidence([1.0] * 10, finished + 16_000)]))
    world.settle()
    world.tick(2)
    outcomes = world.logs.events(OUTCOMES)
    assert len({outcome.id for outcome in outcomes}) == 1
    assert [(outcome.verdict, outcome.version) for outcome in outcomes] == [(Verdict.SUCCESS, 1)]


def run(kills: set[int], crash_stages: list[str] = [], *, lost: int = 0) -> tuple[World, Countdown]:  # noqa: B006 - never changed
    world = World()
    countdown = Countdown(kills)
    world.step = countdown
    world.target.lost = lost
    world.approved()
    live_until_done(world, crash_stages)
    return world, countdown


def test_without_a_kill_the_path_has_the_steps_that_the_kills_are_put_at() -> None:
    _, countdown = run(set())
    assert countdown.count == 8  # epoch, started and finished twice each; the target before and after its effect


@pytest.mark.parametrize("kill", range(1, 9))
@pytest.mark.parametrize("lost", [0, 1])
def test_a_kill_at_each_step_leaves_one_effect_and_one_end(kill: int, lost: int) -> None:
    world, _ = run({kill}, lost=lost)
    verify_success(world)
    assert_exactly_once(world)


@settings(max_examples=50, deadline=None)
@given(
    kills=st.sets(st.integers(1, 30), max_size=6),
    crash_stages=st.lists(st.sampled_from(["approve", "admit", "report", "verify"]), max_size=6),
    lost=st.integers(0, 2),
)
def test_kills_anywhere_with_stages_falling_back_to_old_snapshots_leave_one_effect_and_one_end(
    kills: set[int], crash_stages: list[str], lost: int
) -> None:
    world, _ = run(kills, crash_stages, lost=lost)
    assert_exactly_once(world)
    effects = Counter(world.target.effects)
    assert set(effects.values()) == {1}
