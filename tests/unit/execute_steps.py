"""Steps on the way to an action, for the tests of execute: as far as its grant; and what was refused."""

from schemas.actions import RefusalReason, Refused
from tests.acting_world import ACTIONS, World


def reasons(world: World) -> list[RefusalReason]:
    return [event.reason for event in world.logs.events(ACTIONS, Refused)]


def granted_world() -> World:
    world = World()
    world.start_execute()
    world.approved()
    for _ in range(3):
        for running in world.stages.values():
            running.run(world.logs)
    world.fold_execute()
    return world
