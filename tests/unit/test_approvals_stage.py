"""The stage approve: which policy and decisions it writes, over restarts too, and whom it asks or tells."""

import pytest

from models.approvals import in_force, snapshot
from schemas.approvals import CommandVerb, Decision, DecisionOutcome
from schemas.config.policy import Policy
from schemas.kinds import Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import Tick
from tests.acting_world import APPROVALS, NOTICES, T0, World, command, proposal
from tests.acting_world import in_force as on_the_log
from tests.unit.approval_log import AUTOMATIC, FORBIDDING, explanation, withdrawal


def policies(world: World) -> list[str]:
    return [event.digest for event in world.logs.events(APPROVALS) if event.type == "policy"]


def test_the_stage_puts_its_policy_on_the_log_once_and_again_only_when_it_is_another() -> None:
    world = World(AUTOMATIC)
    world.tick(5)
    assert policies(world) == [on_the_log(AUTOMATIC).digest]
    world.restart_approve(Policy())
    world.tick(5)
    world.restart_approve(Policy())
    world.tick(5)
    assert policies(world) == [on_the_log(AUTOMATIC).digest, on_the_log(Policy()).digest]


def test_a_policy_on_its_way_is_not_said_again_not_even_after_a_crash() -> None:
    world = World(AUTOMATIC)
    approve = world.stages["approve"]
    for _ in range(3):
        world.logs.write(APPROVALS, Tick(at=T0))
    approve.run(world.logs)
    approve.crash()  # nothing was saved: the first tick says it again, under the same id
    world.settle()
    said = [event for event in world.logs.events(APPROVALS) if event.type == "policy"]
    assert len({event.id for event in said}) == 1
    world.tick(3)
    assert len([event for event in world.logs.events(APPROVALS) if event.type == "policy"]) == len(said)
    assert approve.state.saying == ""


def test_a_restart_under_another_policy_leaves_history_as_it_was_for_every_reader() -> None:
    world, of = World(), proposal()
    world.tick()
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, command(of, CommandVerb.REJECT))
    world.settle()
    world.restart_approve(AUTOMATIC)
    world.tick(3)
    reread = world.reread()
    assert reread.cases[of.id].decision == world.stages["approve"].state.book.cases[of.id].decision
    assert (reread.cases[of.id].decision.outcome, reread.cases[of.id].decision.subject) == (DecisionOutcome.REJECTED, "ann")
    assert snapshot(reread) == snapshot(world.stages["approve"].state.book)
    assert reread.in_force.policy == AUTOMATIC


def told(world: World) -> list[tuple[NoticeKind, str]]:
    return [(event.kind, event.title) for event in world.logs.events(NOTICES, Notice)]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [(Policy(), [NoticeKind.APPROVAL_NEEDED]), (AUTOMATIC, []), (FORBIDDING, [NoticeKind.ESCALATED])],
)
def test_a_person_is_asked_only_for_what_is_left_to_a_person(policy: Policy, kinds: list[NoticeKind]) -> None:
    world, of = World(policy), proposal(severity=Severity.CRITICAL)
    world.tick(2)
    world.logs.write(APPROVALS, of)
    world.tick(3)
    assert told(world) == [(kind, of.title) for kind in kinds]
    assert all(event.severity is Severity.CRITICAL for event in world.logs.events(NOTICES, Notice))


def test_a_person_is_asked_once_when_the_llm_disagrees_and_not_before() -> None:
    world, of = World(in_force(AUTOMATIC, llm_timeout_s=20)), proposal()
    world.tick(2)
    world.logs.write(APPROVALS, of)
    world.tick(3)
    assert told(world) == []
    world.logs.write(APPROVALS, explanation(of, agrees=False))
    world.tick(3)
    assert told(world) == [(NoticeKind.APPROVAL_NEEDED, of.title)]


def test_nobody_is_paged_for_a_proposal_whose_incident_is_over() -> None:
    world, of = World(), proposal(expires_at=T0 + 10_000)
    world.tick()
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, withdrawal())
    world.tick(15)
    assert [decision.outcome for decision in world.logs.events(APPROVALS, Decision)] == [DecisionOutcome.WITHDRAWN]
    assert world.notices() == [NoticeKind.APPROVAL_NEEDED]


def test_the_stage_writes_each_decision_once_and_tells_people_of_the_expired() -> None:
    world = World()
    of = proposal(expires_at=T0 + 3000)
    world.logs.write("airra.approvals.v1", of)
    world.tick(6)
    decisions = world.logs.events("airra.approvals.v1", Decision)
    assert [decision.outcome for decision in decisions] == [DecisionOutcome.EXPIRED]
    assert world.notices() == [NoticeKind.APPROVAL_NEEDED, NoticeKind.ESCALATED]
