"""Access to the API: who may read and act, by which token and host name, and what is refused at the door."""

import pytest

from api.server import operators
from tests.api_world import ALICE, World, approval
from tests.unit.api_calls import get, post, waiting_world  # noqa: F401 - the fixture world


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


def test_operators_are_read_from_pairs_and_a_wrong_one_is_named_without_its_token():
    assert operators(" alice:t1 , bob:t2,") == {"t1": "alice", "t2": "bob"}
    assert operators("") == {}
    for wrong in ("alice", "alice:", ":secret", "a:same,b:same", "policy:secret", "b:t, Clock :secret"):
        with pytest.raises(ValueError) as error:
            operators(wrong)
        assert "secret" not in str(error.value)
