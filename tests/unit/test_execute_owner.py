"""execute's owner: only the newest acts and is believed; an older one stops, whenever it wakes."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from schemas.actions import Epoch, Finished, FinishStatus, Grant, Started
from schemas.base import Position
from streams.harness.errors import Fatal
from streams.harness.stage import Output
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, T0, World
from tests.unit.execute_steps import granted_world


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


def test_an_owner_that_is_replaced_between_its_started_and_the_act_does_not_act() -> None:
    """No clock moves: only the barrier between the two tells it of the newer epoch."""
    world = granted_world()
    assert world.execute is not None
    (intent,) = world.execute.pending()

    async def replaced(outputs: Sequence[Output]) -> list[Position]:
        positions = await world.append(outputs)
        if world.logs.events(ACTIONS, Started):
            world.logs.write(ACTIONS, Epoch(id="epo-other", owner="another", at=T0))
        return positions

    with contextlib.suppress(Fatal):
        asyncio.run(world.execute.perform(intent, replaced))
    assert len(world.logs.events(ACTIONS, Started)) == 1
    assert world.target.effects == []


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
