"""execute's clock: apart, set back or forward, or standing still, it lets nothing pass, cuts nothing short and prolongs nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.actions import FinishStatus, RefusalReason, Started
from schemas.base import Position
from streams.harness.errors import Retryable
from streams.harness.stage import Output
from tests.acting_world import ACTIONS, World
from tests.unit.execute_steps import granted_world, reasons


@pytest.mark.parametrize("skew", [-3_600_000, -6000, 6000, 3_600_000])
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
