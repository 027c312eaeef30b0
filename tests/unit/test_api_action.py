"""An action as the API tells of it, from its approval to its outcome, its refusal or its undo."""

from schemas import topics
from schemas.actions import Epoch, Finished, FinishStatus, RefusalReason, Refused, Seen, Started
from schemas.incidents import IncidentPhase
from schemas.kinds import Mode, Verdict
from tests.api_world import NOW, approval, incident, proposal
from tests.unit.api_calls import about, get, grant, outcome, post, waiting_world  # noqa: F401 - the fixture world


async def test_the_heritage_table_from_incident_to_resolved(world):
    """Every call of the table that serves the loop, in the order of an incident's life."""
    listed = (await get(world, "/api/v1/incidents")).json()
    assert [(one["id"], one["status"], one["pending"]) for one in listed["items"]] == [("inc-1", "pending_approval", ["prp-1"])]
    detail = (await get(world, "/api/v1/incidents/inc-1")).json()
    assert detail["proposals"][0]["proposal"]["id"] == "prp-1"
    pending = (await get(world, "/api/v1/approvals/pending")).json()
    assert [one["proposal"]["id"] for one in pending["items"]] == ["prp-1"]
    assert {"dry_run", "live"} == set(pending["items"][0]["proposal"]["digests"])

    early = await post(world, "/api/v1/actions/prp-1/execute")
    assert (early.status_code, early.json()["error"]) == (409, "not_approved")
    approved = await post(world, "/api/v1/approvals/prp-1/approve", approval("alice", "live"))
    assert approved.status_code == 200
    action = approved.json()["action"]
    assert (await get(world, "/api/v1/approvals/pending")).json() == {"items": []}

    async def state():
        answer = await post(world, f"/api/v1/actions/{action}/execute")
        assert answer.status_code == 200, answer.text
        return answer.json()["status"], answer.json()["incident_status"]

    before = len(world.logs[topics.ACTIONS.name].records)
    assert await state() == ("approved", "acting")
    assert await state() == ("approved", "acting")
    assert len(world.logs[topics.ACTIONS.name].records) == before, "executing twice does nothing twice"
    granted = grant(world)
    assert granted.id == action
    assert await state() == ("granted", "acting")
    epoch = world.put(topics.ACTIONS, "epoch", Epoch(id="epo-1", owner="a", at=NOW)).offset
    world.put(topics.ACTIONS, action, about(granted, Started, epoch=epoch, seen=Seen()))
    assert await state() == ("started", "acting")
    ended = {"status": FinishStatus.SUCCEEDED, "before": {"workers": 2}, "after": {"workers": 2}}
    world.put(topics.ACTIONS, action, about(granted, Finished, epoch=epoch, **ended))
    assert await state() == ("succeeded", "verifying")
    world.put(topics.OUTCOMES, action, outcome(action))
    world.put(topics.INCIDENTS, "inc-1", incident(version=2, phase=IncidentPhase.RESOLVED))
    assert await state() == ("succeeded", "resolved")
    shown = (await get(world, "/api/v1/incidents/inc-1")).json()
    assert shown["proposals"][0]["actions"][0]["outcome"]["verdict"] == "success"
    assert shown["summary"]["status"] == "resolved"


async def test_execute_reads_the_logs_to_their_end_or_refuses(world):
    world.logs[topics.ACTIONS.name].stuck = True
    answer = await post(world, "/api/v1/actions/prp-1/execute")
    assert (answer.status_code, answer.json()["error"]) == (503, "log_unreadable")


async def test_a_refused_action_says_why(world):
    await post(world, "/api/v1/approvals/prp-1/approve", approval("alice", "live"))
    granted = grant(world)
    epoch = world.put(topics.ACTIONS, "epoch", Epoch(id="epo-1", owner="a", at=NOW)).offset
    world.put(topics.ACTIONS, granted.id, about(granted, Refused, epoch=epoch, reason=RefusalReason.NOT_ARMED, seen=Seen()))
    answer = (await post(world, f"/api/v1/actions/{granted.id}/execute")).json()
    assert (answer["status"], answer["detail"]) == ("refused", "not_armed")


async def test_an_action_that_admit_refuses_to_grant_is_refused_and_its_incident_is_open_again(world):
    answer = await post(world, "/api/v1/approvals/prp-1/approve", approval("alice", "live"))
    action = answer.json()["action"]
    found = proposal()
    refusal = Refused(
        id="ref-1",
        action=action,
        proposal="prp-1",
        incident="inc-1",
        mode=Mode.LIVE,
        spec=found.chosen.spec,
        reason=RefusalReason.BUDGET_EXHAUSTED,
        detail="0 live actions an hour",
        seen=Seen(),
        at=NOW + 1,
    )
    for _ in range(2):
        world.put(topics.ACTIONS, action, refusal)
    told = (await post(world, f"/api/v1/actions/{action}/execute")).json()
    assert (told["status"], told["detail"]) == ("refused", "budget_exhausted 0 live actions an hour")
    assert (told["incident_status"], told["granted_at"], told["ended_at"]) == ("open", None, NOW + 1)
    shown = (await get(world, "/api/v1/incidents/inc-1")).json()
    assert shown["summary"]["status"] == "open"
    assert [one["status"] for one in shown["proposals"][0]["actions"]] == ["refused"]


async def test_an_undo_is_its_own_action_and_ends_with_its_incident_open(world):
    await post(world, "/api/v1/approvals/prp-1/approve", approval("alice", "live"))
    granted = grant(world)
    epoch = world.put(topics.ACTIONS, "epoch", Epoch(id="epo-1", owner="a", at=NOW)).offset
    world.put(topics.ACTIONS, granted.id, about(granted, Finished, epoch=epoch, status=FinishStatus.SUCCEEDED))
    world.put(topics.OUTCOMES, granted.id, outcome(granted.id, verdict=Verdict.WORSE, correct=0))
    undo = granted.model_copy(update={"id": "act-undo", "undo_of": granted.id})

    async def state(action):
        told = (await post(world, f"/api/v1/actions/{action}/execute")).json()
        return told["id"], told["undo_of"], told["status"], told["incident_status"]

    assert (await post(world, "/api/v1/actions/act-undo/execute")).status_code == 404
    world.put(topics.ACTIONS, "act-undo", undo)
    assert await state("act-undo") == ("act-undo", granted.id, "granted", "acting")
    ended = about(undo, Finished, epoch=epoch, status=FinishStatus.SUCCEEDED, undo_of=granted.id)
    world.put(topics.ACTIONS, "act-undo", ended)
    assert await state("act-undo") == ("act-undo", granted.id, "succeeded", "open")
    assert await state(granted.id) == (granted.id, None, "succeeded", "open")
    assert (await get(world, "/api/v1/incidents/inc-1")).json()["summary"]["status"] == "open"


async def test_the_words_of_an_older_owner_do_not_count(world):
    await post(world, "/api/v1/approvals/prp-1/approve", approval("alice", "live"))
    granted = grant(world)
    old = world.put(topics.ACTIONS, "epoch", Epoch(id="epo-1", owner="a", at=NOW)).offset
    world.put(topics.ACTIONS, "epoch", Epoch(id="epo-2", owner="b", at=NOW))
    world.put(topics.ACTIONS, granted.id, about(granted, Started, epoch=old, seen=Seen()))
    world.put(topics.ACTIONS, granted.id, about(granted, Finished, epoch=old, status=FinishStatus.SUCCEEDED))
    assert (await post(world, f"/api/v1/actions/{granted.id}/execute")).json()["status"] == "granted"
