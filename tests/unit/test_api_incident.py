"""Incidents as the API shows them: in pages, with what people and the LLM said of them, and whether live is armed."""

from schemas import topics
from schemas.approvals import Arming, Explanation
from schemas.incidents import Feedback
from schemas.kinds import Cause
from tests.api_world import NOW, World
from tests.unit.api_calls import get, post, waiting_world  # noqa: F401 - the fixture world


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
