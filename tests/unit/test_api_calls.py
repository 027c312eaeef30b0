"""The calls of heritage's table that serve the loop, who may make them, and the read model behind them."""

import asyncio

import httpx2
import pytest
from prometheus_client import REGISTRY

from api import read_model
from api.client import ApiClient, ApiError
from api.read_model import Kept, action_id
from api.server import operators
from models import calibration
from schemas import topics
from schemas.actions import Epoch, Finished, FinishStatus, Grant, Preconditions, RefusalReason, Refused, Seen, Started
from schemas.approvals import Arming, Explanation
from schemas.base import Position
from schemas.http import FeedbackBody, IncidentStatus
from schemas.incidents import Feedback, IncidentPhase
from schemas.kinds import ActionName, Cause, Mode, Verdict
from schemas.outcomes import Outcome
from streams.harness.errors import Poison, Retryable
from streams.harness.stage import Record
from tests.api_world import ALICE, NOW, World, approval, incident, proposal


@pytest.fixture
def world():
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


def outcome(action, version=1, **more):
    values = {"id": f"out-{version}", "version": version, "action": action, "proposal": "prp-1", "incident": "inc-1", "mode": Mode.LIVE}
    values |= {"service": "inventory", "cause": Cause.MEMORY_LEAK, "action_name": ActionName.RESTART, "verdict": Verdict.SUCCESS}
    values |= {"confidence": 0.81, "correct": 1, "metrics": (), "started_at": NOW, "finished_at": NOW, "at": NOW}
    return Outcome(**{**values, "source": Position(topic="airra.incidents.v1", partition=0, offset=1), **more})


async def test_health_metrics_and_docs_need_no_token(world):
    live, ready = await get(world, "/health", None), await get(world, "/health/ready", None)
    assert (live.json()["live"], ready.status_code) == (True, 200)
    world.ready = False
    late = await get(world, "/health/ready", None)
    assert (late.status_code, late.json()["components"]) == (503, {"airra.approvals.v1": "is being read"})
    assert (await get(world, "/health", None)).status_code == 200, "not ready is not dead"
    assert (await get(world, "/health/live", None)).json() == {"live": True}
    docs = await get(world, "/docs", None)
    assert docs.status_code == 200
    assert "/api/v1/approvals/{identifier}/approve" in docs.text
    assert "/api/v1/incidents" in (await get(world, "/openapi.json", None)).json()["paths"]


async def test_requests_are_counted_by_route_and_code(world):
    await get(world, "/api/v1/incidents/inc-77")
    await get(world, "/no/such/place/inc-77")
    text = (await get(world, "/metrics", None)).text
    assert 'airra_api_requests_total{code="404",route="/api/v1/incidents/{incident}"}' in text
    assert 'airra_api_requests_total{code="404",route="other"}' in text
    assert "inc-77" not in text, "labels are bounded"


@pytest.mark.parametrize("path", ["/api/v1/incidents", "/api/v1/incidents/inc-1", "/api/v1/approvals/pending", "/api/v1/arming"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic dG9rZW4=", f"Bearer {ALICE}x"])
async def test_without_a_valid_token_nothing_is_shown(world, path, header):
    async with world.client() as client:
        answer = await client.get(path, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"error", "detail", "what_to_do"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/approvals/prp-1/approve", approval("alice")),
        ("/api/v1/approvals/prp-1/reject", {"reason": "no"}),
        ("/api/v1/actions/prp-1/execute", None),
        ("/api/v1/incidents/inc-1/feedback", {"note": "x"}),
    ],
)
async def test_nobody_acts_without_a_token_or_without_operators(world, path, body):
    assert (await post(world, path, body, token=None)).status_code == 401
    assert (await post(world, path, body, token="wrong")).status_code == 401
    open_world = World(tokens={})
    open_world.open_incident()
    open_world.propose()
    refused = await post(open_world, path, body, token=None)
    assert (refused.status_code, refused.json()["error"]) == (403, "acting_disabled")
    assert "AIRRA_API_TOKENS" in refused.json()["what_to_do"]
    assert (await get(open_world, "/api/v1/incidents", None)).status_code == 200, "reading stays possible"
    assert world.commands() == open_world.commands() == []


async def test_a_token_is_in_no_answer(world, capsys):
    for path in ("/metrics", "/health", "/api/v1/incidents/inc-1", "/docs", "/api/v1/incidents/nope"):
        assert ALICE not in (await get(world, path)).text
    await post(world, "/api/v1/approvals/prp-1/approve", approval("bob"))
    said = capsys.readouterr()
    assert ALICE not in said.out + said.err


async def test_incidents_come_in_pages_the_newest_first_and_by_status():
    world = World()
    for number in range(5):
        world.open_incident(f"inc-{number}", opened_at=NOW + number)
    world.propose("prp-3", "inc-3")
    first = (await get(world, "/api/v1/incidents", limit=2)).json()
    assert [one["id"] for one in first["items"]] == ["inc-4", "inc-3"]
    second = (await get(world, "/api/v1/incidents", limit=2, after=first["next"])).json()
    third = (await get(world, "/api/v1/incidents", limit=2, after=second["next"])).json()
    assert [one["id"] for one in second["items"] + third["items"]] == ["inc-2", "inc-1", "inc-0"]
    assert third["next"] is None
    waiting = (await get(world, "/api/v1/incidents", status="pending_approval")).json()
    assert [one["id"] for one in waiting["items"]] == ["inc-3"]
    assert (await get(world, "/api/v1/incidents", status="lost")).status_code == 422
    assert (await get(world, "/api/v1/incidents", limit=0)).status_code == 422
    assert (await get(world, "/api/v1/incidents", after="inc-9")).status_code == 404


async def test_feedback_is_appended_and_shown(world):
    answer = await post(world, "/api/v1/incidents/inc-1/feedback", {"confirmed_cause": "memory_leak", "confirmed_service": "inventory"})
    assert answer.status_code == 200
    said = Feedback.model_validate_json(world.logs[topics.INCIDENTS.name].records[-1].value)
    assert (said.subject, said.confirmed_cause, said.confirmed_service) == ("alice", Cause.MEMORY_LEAK, "inventory")
    assert (await get(world, "/api/v1/incidents/inc-1")).json()["feedback"][0]["id"] == said.id
    assert (await post(world, "/api/v1/incidents/inc-1/feedback", {"note": "  "})).status_code == 422
    assert (await post(world, "/api/v1/incidents/inc-9/feedback", {"note": "x"})).status_code == 404


async def test_a_huge_body_is_refused_whether_it_says_its_size_or_not(world):
    body = b'{"reason": "' + b"x" * 70_000 + b'"}'

    async def chunks():
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    async with world.client(ALICE) as client:
        headers = {"content-type": "application/json"}
        for content in (body, chunks()):
            answer = await client.post("/api/v1/approvals/prp-1/reject", content=content, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert world.commands() == []


@pytest.mark.parametrize("name", ["a b", "x" * 81, "<script>", "%00"])
async def test_a_strange_id_is_refused(world, name):
    async with world.client(ALICE) as client:
        answer = await client.get(f"/api/v1/incidents/{name}")
    assert answer.status_code in (404, 422)
    assert "<script>" not in answer.text or answer.headers["content-type"] == "application/json"


async def test_another_host_name_is_refused_where_only_this_machine_is_served():
    world = World(allowed_hosts=("127.0.0.1", "localhost"))
    async with world.client(ALICE) as client:
        assert (await client.get("/api/v1/incidents", headers={"host": "evil.example"})).status_code == 400
        assert (await client.get("/api/v1/incidents", headers={"host": "127.0.0.1:8080"})).status_code == 200


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


async def test_the_explanation_stands_beside_the_proposal(world):
    said = Explanation(id="exp-1", proposal="prp-1", provider="anthropic", model="m", status="ok", text="a leak", agrees=True, at=NOW)
    before = (await get(world, "/api/v1/approvals/prp-1")).json()
    world.put(topics.APPROVALS, "prp-1", said)
    after = (await get(world, "/api/v1/approvals/prp-1")).json()
    assert after["explanation"]["text"] == "a leak"
    assert after["proposal"] == before["proposal"]


async def test_arming_counts_on_this_cluster_and_until_it_ends(world):
    assert (await get(world, "/api/v1/arming")).json()["armed"] is False
    for name, cluster in (("arm-1", "another"), ("arm-2", "cluster-1")):
        world.put(topics.APPROVALS, name, Arming(id=name, armed=True, by="alice", at=NOW, until=NOW + 1000, cluster=cluster))
        assert (await get(world, "/api/v1/arming")).json()["armed"] is (cluster == "cluster-1")
    world.now += 1001
    assert (await get(world, "/api/v1/arming")).json()["armed"] is False


async def test_an_outcome_of_a_higher_version_takes_the_place(world):
    for version, correct in ((2, 0), (1, 1)):
        world.put(topics.OUTCOMES, "act-1", outcome("act-1", version, correct=correct))
    assert world.model.outcomes.get("act-1").correct == 0


def test_the_same_log_twice_gives_the_same_read_model(world):
    again = World()
    records = [(name, record) for name, log in world.logs.items() for record in log.records]
    for name, record in [*records, *records]:  # every record twice, as after a view that starts again
        again.logs[name].fold(record)
    assert list(again.model.proposals) == list(world.model.proposals)
    assert again.model.of_incident.get("inc-1") == ["prp-1"]
    assert again.model.incidents.latest("inc-1") == world.model.incidents.latest("inc-1")


def test_an_unreadable_record_is_poison_and_changes_nothing(world):
    for log in world.logs.values():
        with pytest.raises(Poison):
            log.fold(Record(log.name, 0, 99, NOW, None, b"\xff not json"))
    assert len(world.model.proposals) == 1


def test_a_table_keeps_its_cap():
    table = Kept[int]("test", cap=3)
    for number in range(10):
        table.put(str(number), number)
    assert list(table) == [7, 8, 9]


def test_what_the_folds_of_the_read_model_drop_is_counted(world, monkeypatch):
    def dropped(table):
        return REGISTRY.get_sample_value("airra_api_evictions_total", {"table": table}) or 0.0

    tables = ("proposals_of_one", "actions_of_one", "incidents", "actions", "calibration")
    before = {table: dropped(table) for table in tables}
    monkeypatch.setattr(read_model, "OF_ONE", 2)
    monkeypatch.setattr(calibration, "KEPT", 1)
    world.model.log.max_open, world.model.incidents.capacity = 2, 1
    first = grant(world)
    for number in range(2, 5):
        world.propose(f"prp-{number}")
        world.put(topics.ACTIONS, "a", first.model_copy(update={"id": f"act-{number}"}))
        world.put(topics.OUTCOMES, "a", outcome(f"act-{number}"))
        world.open_incident(f"inc-{number}")
    assert {table: dropped(table) - before[table] for table in tables} == {
        "proposals_of_one": 2,
        "actions_of_one": 2,
        "incidents": 3,
        "actions": 2,
        "calibration": 2,
    }


def test_operators_are_read_from_pairs_and_a_wrong_one_is_named_without_its_token():
    assert operators(" alice:t1 , bob:t2,") == {"t1": "alice", "t2": "bob"}
    assert operators("") == {}
    for wrong in ("alice", "alice:", ":secret", "a:same,b:same", "policy:secret", "b:t, Clock :secret"):
        with pytest.raises(ValueError) as error:
            operators(wrong)
        assert "secret" not in str(error.value)


class _Bridge(httpx2.BaseTransport):
    """The synchronous client over the application, without a socket."""

    def __init__(self, app):
        self._app = app

    def handle_request(self, request):
        async def ask():
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self._app)) as client:
                headers = {name: value for name, value in request.headers.items() if name != "content-length"}
                answer = await client.request(request.method, request.url, content=request.read(), headers=headers)
                return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

        return asyncio.run(ask())


def test_the_client_reads_approves_and_tells_what_went_wrong(world):
    with ApiClient("http://127.0.0.1", ALICE, transport=_Bridge(world.app)) as client:
        assert client.pending().items[0].proposal == proposal()
        assert client.incidents(IncidentStatus.PENDING_APPROVAL).items[0].id == "inc-1"
        assert client.incident("inc-1").incident == incident()
        assert client.approve("prp-1", "alice", Mode.DRY_RUN, key="k").decision.subject == "alice"
        assert client.execute("prp-1").status == "approved"
        assert client.feedback("inc-1", FeedbackBody(note="seen")).feedback.note == "seen"
        assert client.arming().armed is False
        with pytest.raises(ApiError) as error:
            client.reject("prp-1", "too late")
    assert (error.value.status, error.value.problem.decided_by) == (409, "alice")


def test_the_client_says_when_there_is_no_api():
    def handler(request):
        raise httpx2.ConnectError("refused")

    with ApiClient("http://127.0.0.1:1", transport=httpx2.MockTransport(handler)) as client, pytest.raises(ApiError) as error:
        client.pending()
    assert error.value.problem.error == "unreachable"
    html = httpx2.MockTransport(lambda request: httpx2.Response(200, text="<html>"))
    with ApiClient("http://127.0.0.1:1", transport=html) as client, pytest.raises(ApiError) as error:
        client.pending()
    assert error.value.problem.error == "not_the_api"


def test_a_view_that_cannot_be_read_refuses_rather_than_guesses(world):
    world.approvals.stuck = True
    with ApiClient("http://127.0.0.1", ALICE, transport=_Bridge(world.app)) as client, pytest.raises(ApiError) as error:
        client.approve("prp-unknown", "alice", Mode.LIVE)
    assert error.value.status == 503
    assert issubclass(Retryable, Exception)
