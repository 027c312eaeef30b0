"""admit: an announced approval becomes one grant; one live action a target; a budget; undo only of what may be undone."""

from models.admission import Admission
from schemas.actions import Finished, FinishStatus, Grant, Preconditions, RefusalReason, Refused, Seen, Started
from schemas.approvals import Decision, UndoRequest
from schemas.base import derive_id
from schemas.config.policy import Budget, Lease, Policy
from schemas.kinds import Mode
from tests.acting_world import ACTIONS, APPROVALS, RESTART, SCALE, T0, UNSCALE, World, command, proposal


def grants(world: World) -> list[Grant]:
    return world.logs.events(ACTIONS, Grant)


def refusals(world: World) -> list[tuple[str, RefusalReason]]:
    return [(event.incident, event.reason) for event in world.logs.events(ACTIONS, Refused)]


def approve(world: World, incident: str, *, mode: Mode = Mode.LIVE, **changes: object) -> None:
    of = proposal(incident, **changes)
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, command(of, mode=mode))
    world.settle()


def begin(world: World, grant: Grant) -> None:
    told = {"action": grant.id, "proposal": grant.proposal, "incident": grant.incident, "mode": grant.mode, "spec": grant.spec}
    world.logs.write(APPROVALS, Started(id=derive_id("sta", grant.id), epoch=0, seen=Seen(), at=world.logs.now, **told))
    world.settle()


def end(world: World, grant: Grant, status: FinishStatus = FinishStatus.SUCCEEDED, after: dict | None = None) -> None:
    world.logs.write(
        ACTIONS,
        Finished(
            id=derive_id("fin", grant.id),
            action=grant.id,
            proposal=grant.proposal,
            incident=grant.incident,
            mode=grant.mode,
            spec=grant.spec,
            status=status,
            after=after or {},
            epoch=0,
            at=world.logs.now,
        ),
    )
    world.settle()


def undo_of(grant: Grant) -> UndoRequest:
    return UndoRequest(id="undo", action=grant.id, proposal=grant.proposal, incident=grant.incident, reason="worse", at=T0)


def test_an_approval_becomes_one_grant_that_binds_what_was_approved() -> None:
    world = World()
    approve(world, "inc-1")
    (grant,) = grants(world)
    of = proposal("inc-1")
    assert grant.id == derive_id("act", of.id, of.digests.live)
    assert (grant.spec, grant.undo, grant.preconditions, grant.digest) == (SCALE, UNSCALE, of.chosen.preconditions, of.digests.live)
    assert (grant.cause, grant.hypothesis_service, grant.confidence) == ("cpu_spike", "orders", 0.9)
    assert grant.lease_until == grant.at + 120_000


def test_an_approval_announced_twice_is_granted_once() -> None:
    world = World()
    approve(world, "inc-1")
    world.logs.write(APPROVALS, world.logs.events(APPROVALS, Decision)[0])
    world.settle()
    assert len(grants(world)) == 1


def test_a_forged_announcement_is_not_granted() -> None:
    world = World()
    of = proposal()
    world.logs.write(APPROVALS, of)
    world.logs.write(
        APPROVALS,
        Decision(
            id=derive_id("dec", of.id),
            proposal=of.id,
            incident=of.incident,
            outcome="approved",
            mode=Mode.LIVE,
            digest=of.digests.live,
            subject="eve",
            at=T0,
        ),
    )
    world.settle()
    assert grants(world) == []


def test_a_second_live_action_waits_for_the_target_and_gets_it_when_it_is_free() -> None:
    world = World()
    approve(world, "inc-1")
    approve(world, "inc-2")
    assert [grant.incident for grant in grants(world)] == ["inc-1"]
    world.tick(5)
    end(world, grants(world)[0])
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2"]
    assert grants(world)[1].lease_until == world.logs.now + 120_000


def test_other_targets_and_dry_runs_wait_for_nobody() -> None:
    world = World()
    approve(world, "inc-1")
    approve(world, "inc-2", spec=RESTART.model_copy(update={"service": "catalog"}), undo=None)
    approve(world, "inc-3", mode=Mode.DRY_RUN)
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2", "inc-3"]


def test_a_wait_that_is_over_is_refused_and_copied() -> None:
    world = World(Policy(lease=Lease(wait_s=10)))
    approve(world, "inc-1")
    approve(world, "inc-2")
    world.tick(9)
    assert refusals(world) == []
    world.tick(1)
    assert refusals(world) == [("inc-2", RefusalReason.LEASE_HELD)]
    assert len(world.logs.events(APPROVALS, Refused)) == 1
    assert "refused" in world.notices()


def test_an_unknown_end_keeps_the_target() -> None:
    world = World(Policy(lease=Lease(wait_s=10)))
    approve(world, "inc-1")
    end(world, grants(world)[0], FinishStatus.UNKNOWN)
    approve(world, "inc-2")
    world.tick(10)
    assert refusals(world) == [("inc-2", RefusalReason.LEASE_HELD)]


def test_a_proposal_that_expires_while_it_waits_is_refused() -> None:
    world = World()
    approve(world, "inc-1")
    approve(world, "inc-2", expires_at=T0 + 5000)
    world.tick(6)
    assert refusals(world) == [("inc-2", RefusalReason.EXPIRED)]


def test_the_hours_budget_refuses_and_comes_back() -> None:
    world = World(Policy(budget=Budget(live_per_hour=1)))
    approve(world, "inc-1")
    end(world, grants(world)[0])
    approve(world, "inc-2")
    assert refusals(world) == [("inc-2", RefusalReason.BUDGET_EXHAUSTED)]
    world.logs.now += 3_600_000
    approve(world, "inc-3", at=world.logs.now, expires_at=world.logs.now + 60_000)
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-3"]


def test_dry_runs_cost_no_budget() -> None:
    world = World(Policy(budget=Budget(live_per_hour=0)))
    approve(world, "inc-1", mode=Mode.DRY_RUN)
    assert len(grants(world)) == 1


def test_an_undo_of_a_live_success_is_granted_once_before_others_and_beyond_the_budget() -> None:
    world = World(Policy(budget=Budget(live_per_hour=1)))
    approve(world, "inc-1")
    (grant,) = grants(world)
    end(world, grant)
    for _ in range(2):
        world.logs.write(APPROVALS, undo_of(grant))
        world.settle()
    _, undo = grants(world)
    assert (undo.id, undo.undo_of, undo.spec, undo.mode) == (derive_id("act", grant.id, "undo"), grant.id, UNSCALE, Mode.LIVE)
    assert undo.undo is None


def test_an_undo_that_was_not_approved_or_did_not_succeed_is_refused() -> None:
    for changes, status, mode in (
        ({"undo": None}, FinishStatus.SUCCEEDED, Mode.LIVE),
        ({}, FinishStatus.FAILED, Mode.LIVE),
        ({}, FinishStatus.SUCCEEDED, Mode.DRY_RUN),
    ):
        world = World()
        approve(world, "inc-1", mode=mode, **changes)
        (grant,) = grants(world)
        end(world, grant, status)
        for _ in range(2):
            world.logs.write(APPROVALS, undo_of(grant))
            world.settle()
        assert refusals(world) == [("inc-1", RefusalReason.NOT_APPROVED)]
        assert len(grants(world)) == 1


def test_an_undo_of_nothing_known_changes_nothing() -> None:
    world = World()
    world.logs.write(APPROVALS, UndoRequest(id="u", action="act-?", proposal="p", incident="i", reason="", at=T0))
    world.settle()
    assert world.logs.events(ACTIONS) == []
    assert world.stages["admit"].state.known == Admission().known


def test_an_undo_is_granted_for_the_target_as_its_action_left_it() -> None:
    for after, workers in (({"workers": 3}, 3), ({}, 4)):
        world = World()
        approve(world, "inc-1")
        end(world, grants(world)[0], after=after)
        world.logs.write(APPROVALS, undo_of(grants(world)[0]))
        world.settle()
        assert grants(world)[1].preconditions == Preconditions(workers=workers)


PATIENT = Policy(lease=Lease(hold_s=60, wait_s=600))
LAPSE_S = 60 + 2 * 5 + 20  # the lease, twice the allowed skew, and the time for a report


def test_a_grant_that_execute_never_saw_gives_its_target_back() -> None:
    world = World(PATIENT)
    approve(world, "inc-1")
    approve(world, "inc-2")
    world.tick(LAPSE_S)
    assert [grant.incident for grant in grants(world)] == ["inc-1"]
    world.tick(1)
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2"]
    assert refusals(world) == []


def test_a_grant_that_was_begun_keeps_its_target_however_long_it_takes() -> None:
    world = World(PATIENT)
    approve(world, "inc-1")
    approve(world, "inc-2")
    begin(world, grants(world)[0])
    world.tick(LAPSE_S + 200)
    assert [grant.incident for grant in grants(world)] == ["inc-1"]


def test_a_start_that_is_reported_late_takes_the_target_back_and_its_end_counts() -> None:
    world = World(PATIENT)
    approve(world, "inc-1")
    (grant,) = grants(world)
    world.tick(LAPSE_S + 1)
    assert world.stages["admit"].state.leases == {}
    begin(world, grant)
    approve(world, "inc-2")
    assert [grant.incident for grant in grants(world)] == ["inc-1"]
    end(world, grant)
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2"]
    world.logs.write(APPROVALS, undo_of(grant))
    world.settle()
    assert "undo" in {held.grant.undo_of and "undo" for held in world.stages["admit"].state.waiting}


def test_a_late_start_does_not_take_a_target_from_who_has_it_now() -> None:
    world = World(PATIENT)
    approve(world, "inc-1")
    approve(world, "inc-2")
    world.tick(LAPSE_S + 1)
    first, second = grants(world)
    begin(world, first)
    assert world.stages["admit"].state.leases == {"orders": second.id}
    end(world, first)
    assert world.stages["admit"].state.leases == {"orders": second.id}


def test_a_start_of_what_was_not_granted_holds_nothing() -> None:
    world = World(PATIENT)
    approve(world, "inc-1")
    approve(world, "inc-2")
    waiting = world.stages["admit"].state.waiting[0].grant
    begin(world, waiting)
    end(world, grants(world)[0])
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2"]
    approve(world, "inc-3")
    world.tick(LAPSE_S + 1)
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2", "inc-3"], "nor does it count as begun once it is granted"


def test_a_dry_run_that_execute_never_saw_is_not_kept_as_under_way() -> None:
    world = World(PATIENT)
    approve(world, "inc-1", mode=Mode.DRY_RUN)
    world.tick(LAPSE_S + 1)
    assert [known.status for known in world.stages["admit"].state.known.values()] == ["lapsed"]


def test_what_waited_for_its_target_is_counted_against_the_budget_when_it_gets_it() -> None:
    """Given a budget of two, when two more wait for the target of the first, then the second of them finds the budget spent."""
    world = World(Policy(budget=Budget(live_per_hour=2), lease=Lease(wait_s=600)))
    for name in ("inc-1", "inc-2", "inc-3"):
        approve(world, name)
    for number in range(2):
        begin(world, grants(world)[number])
        end(world, grants(world)[number])
        world.settle()
    assert [grant.incident for grant in grants(world)] == ["inc-1", "inc-2"]
    assert refusals(world) == [("inc-3", RefusalReason.BUDGET_EXHAUSTED)]


def test_an_announcement_that_contradicts_the_log_grants_nothing() -> None:
    world = World()
    del world.stages["approve"]  # the one that announces has not come so far
    of = proposal()
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, command(of))
    zombies = Decision(
        id=derive_id("dec", of.id),
        proposal=of.id,
        incident=of.incident,
        outcome="approved",
        mode=Mode.DRY_RUN,
        digest="d",
        subject="eve",
        at=1,
    )
    world.logs.write(APPROVALS, zombies)
    world.settle()
    assert grants(world) == []
