"""Approve and reject: one decision, and everybody else is told who, what and when."""

import asyncio

import pytest

from api.decide import DECISIONS
from schemas import topics
from schemas.approvals import Command, Decision, DecisionOutcome, Withdrawal
from schemas.base import Position
from schemas.kinds import Mode
from schemas.signals import Tick
from streams.harness.emit import emit
from streams.harness.errors import Fatal, Retryable
from tests.api_world import ALICE, BOB, NOW, World, approval, proposal

APPROVE = "/api/v1/approvals/prp-1/approve"
REJECT = "/api/v1/approvals/prp-1/reject"


@pytest.fixture
def world():
    world = World()
    world.open_incident()
    world.propose()
    return world


async def post(world, path, body, token=ALICE, **headers):
    async with world.client(token) as client:
        return await client.post(path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("mode", ["dry_run", "live"])
async def test_an_approval_binds_the_digest_of_the_mode_it_names(world, mode):
    answer = await post(world, APPROVE, approval("alice", mode))
    assert answer.status_code == 200, answer.text
    digests = world.model.proposals.get("prp-1").digests
    decision = Decision.model_validate(answer.json()["decision"])
    assert (decision.outcome, decision.subject, decision.mode) == (DecisionOutcome.APPROVED, "alice", Mode(mode))
    assert decision.digest == getattr(digests, mode)
    command = Command.model_validate_json(world.commands()[0].value)
    assert (command.subject, command.digest, command.proposal) == ("alice", getattr(digests, mode), "prp-1")
    assert answer.json()["action"] in world.model.promised._rows


async def test_a_rejection_keeps_its_reason(world):
    answer = await post(world, REJECT, {"reason": "we deploy in ten minutes"})
    assert answer.status_code == 200
    assert answer.json()["decision"]["outcome"] == "rejected"
    assert answer.json()["decision"]["reason"] == "we deploy in ten minutes"
    assert answer.json()["action"] is None


async def test_the_second_is_told_who_decided_what_and_when(world):
    assert (await post(world, APPROVE, approval("alice"))).status_code == 200
    world.now += 5_000
    late = await post(world, REJECT, {"reason": "no"}, token=BOB)
    assert late.status_code == 409
    assert late.json()["error"] == "already_decided"
    assert (late.json()["decided_by"], late.json()["decided_at"], late.json()["outcome"]) == ("alice", NOW, "approved")
    assert len(world.commands()) == 1, "a command that cannot count is not appended"


async def test_two_approvers_at_once_make_one_decision_a_hundred_times():
    world = World()
    met = asyncio.Barrier(2)
    winners = set()

    async def together(outputs):
        """Let neither append before both have passed every check; odd rounds let the other go first."""
        place = await met.wait()
        if place == turn % 2:
            await asyncio.sleep(0)
        return await World.append(world, outputs)

    world.append = together
    for turn in range(100):
        name = world.propose(f"prp-{turn}", f"inc-{turn}").id
        path = f"/api/v1/approvals/{name}/approve"
        one, two = await asyncio.gather(post(world, path, approval("alice", "live")), post(world, path, approval("bob"), token=BOB))
        assert sorted((one.status_code, two.status_code)) == [200, 409]
        won, lost = (one.json(), two.json()) if one.status_code == 200 else (two.json(), one.json())
        assert lost["decided_by"] == won["decision"]["subject"]
        assert lost["decided_at"] == won["decision"]["at"]
        assert won["decision"] == world.model.decisions.get(name).model_dump(mode="json")
        winners.add(won["decision"]["subject"])
    assert len(world.commands()) == 200, "both were recorded each time: the fold decided, not the API"
    assert len(world.model.decisions) == 100
    assert winners == {"alice", "bob"}


async def test_the_same_request_again_is_the_same_command(world):
    first = await post(world, APPROVE, approval("alice"), Idempotency_Key="k1")
    again = await post(world, APPROVE, approval("alice"), Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert len(world.commands()) == 1


async def test_a_name_that_is_not_the_tokens_is_refused(world):
    answer = await post(world, APPROVE, approval("bob"))
    assert (answer.status_code, answer.json()["error"]) == (403, "wrong_subject")
    assert world.commands() == []
    named = await post(world, REJECT, {"reason": "no", "rejected_by": "bob"})
    assert named.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        approval("alice", "LIVE "),
        approval("alice", "force"),
        {"approved_by": "alice"},
        approval("alice", digest="abc"),
        approval("alice", extra=1),
        approval("alice", reason="x" * 2001),
        "not an object",
    ],
)
async def test_an_unknown_mode_or_malformed_body_is_unprocessable_and_not_recorded(world, body):
    answer = await post(world, APPROVE, body)
    assert answer.status_code == 422
    assert answer.json()["error"] == "invalid"
    assert answer.json()["what_to_do"]
    assert world.commands() == []


async def test_a_digest_of_something_else_is_refused_as_changed(world):
    digests = world.model.proposals.get("prp-1").digests
    answer = await post(world, APPROVE, approval("alice", "live", digest=digests.dry_run))
    assert (answer.status_code, answer.json()["error"]) == (409, "changed")
    assert world.commands() == []


async def test_the_action_id_names_the_proposal_and_its_mode(world):
    live = next(name for name, (_, mode) in world.model.promised._rows.items() if mode is Mode.LIVE)
    wrong = await post(world, f"/api/v1/approvals/{live}/approve", approval("alice", "dry_run"))
    assert (wrong.status_code, wrong.json()["error"]) == (409, "changed")
    right = await post(world, f"/api/v1/approvals/{live}/approve", approval("alice", "live"))
    assert right.status_code == 200
    assert right.json()["action"] == live


async def test_an_expired_proposal_is_gone(world):
    world.now = NOW + 600_001
    world.put(topics.APPROVALS, "tick", Tick(at=world.now))
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"]) == (410, "expired")
    assert world.commands() == []


@pytest.mark.parametrize("apart", [-3_600_000, 3_600_000])
async def test_a_wrong_clock_of_the_api_s_host_neither_closes_a_proposal_nor_keeps_it_open(world, apart):
    object.__setattr__(world.app.state.deps, "clock", lambda: world.now + apart)
    assert (await post(world, APPROVE, approval("alice"))).status_code == 200
    world.propose("prp-2")
    world.now = NOW + 600_001
    world.put(topics.APPROVALS, "tick", Tick(at=world.now))
    late = await post(world, "/api/v1/approvals/prp-2/approve", approval("alice"))
    assert (late.status_code, late.json()["error"]) == (410, "expired")


async def test_one_that_expires_on_the_way_is_gone_too(world):
    world.now = NOW + 600_000

    async def late(outputs):
        world.now += 1
        return await World.append(world, outputs)

    world.append = late
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"], answer.json()["decided_by"]) == (410, "expired", "clock")


async def test_a_superseded_proposal_names_the_newer_one(world):
    world.propose("prp-2")
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"], answer.json()["newer"]) == (409, "superseded", "prp-2")


@pytest.mark.parametrize(("reason", "why"), [("resolved", "is resolved"), ("acting", "acted on")])
async def test_a_withdrawn_proposal_is_gone_and_says_why(world, reason, why):
    source = Position(topic="airra.incidents.v1", partition=0, offset=3)
    world.put(topics.APPROVALS, "inc-1", Withdrawal(id="wdr-1", incident="inc-1", reason=reason, at=NOW, source=source))
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"], answer.json()["outcome"]) == (410, "withdrawn", "withdrawn")
    assert why in answer.json()["detail"]
    async with world.client(ALICE) as client:
        assert (await client.get("/api/v1/approvals/pending")).json()["items"] == []


async def test_a_withdrawal_on_the_way_is_told_too(world):
    source = Position(topic="airra.incidents.v1", partition=0, offset=3)

    async def first(outputs):
        world.approvals.append(
            emit(topics.APPROVALS, "inc-1", Withdrawal(id="wdr-1", incident="inc-1", reason="resolved", at=NOW, source=source)), NOW
        )
        return await World.append(world, outputs)

    world.append = first
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"]) == (410, "withdrawn")


async def test_a_token_of_a_name_that_airra_decides_under_decides_nothing():
    world = World(tokens={ALICE: "policy"})
    world.propose()
    answer = await post(world, APPROVE, approval("policy"))
    assert (answer.status_code, answer.json()["error"]) == (403, "not_a_person")


async def test_an_abstention_cannot_be_approved():
    world = World()
    world.propose(abstain=True)
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"]) == (409, "nothing_to_decide")


async def test_a_proposal_newer_than_the_view_is_waited_for():
    world = World()
    world.propose(fold=False)
    assert (await post(world, APPROVE, approval("alice"))).status_code == 200


async def test_an_unknown_proposal_is_not_found(world):
    answer = await post(world, "/api/v1/approvals/prp-9/approve", approval("alice"))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("error", [Retryable("no leader"), Fatal("refused"), TimeoutError()])
async def test_without_an_acknowledgement_nothing_is_claimed(world, error):
    world.append_error = error
    answer = await post(world, APPROVE, approval("alice"))
    assert (answer.status_code, answer.json()["error"]) == (503, "not_acknowledged")
    assert answer.json()["command"].startswith("cmd-")


async def test_a_broker_that_never_answers_ends_in_a_bounded_time(world):
    async def never(outputs):
        await asyncio.Event().wait()

    world.append = never
    object.__setattr__(world.app.state.deps, "wait_s", 0.05)
    assert (await post(world, APPROVE, approval("alice"))).status_code == 503


async def test_recorded_but_not_read_says_so_and_the_same_key_finds_it(world):
    world.approvals.stuck = True
    answer = await post(world, APPROVE, approval("alice"), Idempotency_Key="k1")
    assert (answer.status_code, answer.json()["error"]) == (503, "recorded_not_read")
    assert len(world.commands()) == 1
    world.approvals.stuck = False
    await world.approvals.barrier(1)
    again = await post(world, APPROVE, approval("alice"), Idempotency_Key="k1")
    assert again.status_code == 200
    assert len(world.commands()) == 1


async def test_a_decision_that_contradicts_the_fold_has_no_effect(world):
    assert (await post(world, APPROVE, approval("alice"))).status_code == 200
    found = proposal()
    zombie = Decision(
        id="dec-z",
        proposal="prp-1",
        incident="inc-1",
        outcome=DecisionOutcome.APPROVED,
        mode=Mode.LIVE,
        digest=found.digests.live,
        subject="mallory",
        at=NOW,
    )
    world.put(topics.APPROVALS, "prp-1", zombie)
    assert world.model.decisions.get("prp-1").subject == "alice"


async def test_what_came_of_calls_is_counted(world):
    def count(result):
        return DECISIONS.labels("approve", result)._value.get()

    approved, refused = count("approved"), count("already_decided")
    await post(world, APPROVE, approval("alice"))
    await post(world, APPROVE, approval("bob"), token=BOB)
    assert (count("approved") - approved, count("already_decided") - refused) == (1, 1)
