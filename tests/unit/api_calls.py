"""Calls of the API on a world with one incident that waits, and the records of an action there, for the API's tests."""

import pytest

from api.read_model import action_id
from schemas import topics
from schemas.actions import Grant, Preconditions
from schemas.base import Position
from schemas.kinds import ActionName, Cause, Mode, Verdict
from schemas.outcomes import Outcome
from tests.api_world import ALICE, NOW, World, proposal


@pytest.fixture(name="world")
def waiting_world():
    """An open incident whose proposal waits for a word."""
    world = World()
    world.open_incident()
    world.propose()
    return world


async def get(world, path, token=ALICE, **params):
    async with world.client(token) as client:
        return await client.get(path, params=params)


async def post(world, path, body=None, token=ALICE):
    async with world.client(token) as client:
        return await client.post(path, json=body)


def grant(world, mode=Mode.LIVE):
    found = proposal()
    digest = found.digests.live if mode is Mode.LIVE else found.digests.dry_run
    made = Grant(
        id=action_id("prp-1", digest),
        proposal="prp-1",
        incident="inc-1",
        decision="dec-1",
        digest=digest,
        mode=mode,
        spec=found.chosen.spec,
        preconditions=Preconditions(),
        lease_until=NOW + 60_000,
        at=NOW + 1,
    )
    world.put(topics.ACTIONS, made.id, made)
    return made


def about(grant, kind, **more):
    values = {"id": f"{kind.__name__}-1", "action": grant.id, "proposal": grant.proposal, "incident": grant.incident, "mode": grant.mode}
    return kind(**values, spec=grant.spec, at=NOW + 2, **more)


def outcome(action, version=1, **more):
    values = {"id": f"out-{version}", "version": version, "action": action, "proposal": "prp-1", "incident": "inc-1", "mode": Mode.LIVE}
    values |= {"service": "inventory", "cause": Cause.MEMORY_LEAK, "action_name": ActionName.RESTART, "verdict": Verdict.SUCCESS}
    values |= {"confidence": 0.81, "correct": 1, "metrics": (), "started_at": NOW, "finished_at": NOW, "at": NOW}
    return Outcome(**{**values, "source": Position(topic="airra.incidents.v1", partition=0, offset=1), **more})
