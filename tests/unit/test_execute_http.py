"""The HTTP executor: only a definite word of the target counts; everything else leaves open what happened."""

import asyncio
import json
import logging
from collections.abc import Callable

import httpx2
import pytest

from agents.execute.executors import Answer, Description, HttpControlExecutor, Status, Unreachable
from tests.acting_world import SCALE

TOKEN = "a-secret-that-is-never-logged"


def executor(handler: Callable[[httpx2.Request], httpx2.Response]) -> HttpControlExecutor:
    return HttpControlExecutor("http://control/", TOKEN, 1.0, transport=httpx2.MockTransport(handler))


def answering(status: int, body: object) -> HttpControlExecutor:
    return executor(lambda request: httpx2.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode()))


def test_an_action_is_sent_with_its_key_and_its_token() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"status": "done", "before": {"workers": 2}, "after": {"workers": 4}})

    answer = asyncio.run(executor(handler).act("act-1", 7, SCALE))
    assert answer == Answer(Status.DONE, {"workers": 2}, {"workers": 4})
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/actions")
    assert (request.headers["idempotency-key"], request.headers["fencing-token"]) == ("act-1", "7")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.content) == {"action": "scale_up", "service": "orders", "params": {"workers": 4}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (202, {"status": "in_progress"}, Status.IN_PROGRESS),
        (409, {"error": "stale_fencing_token", "highest": 9}, Status.FENCED),
        (400, {"error": "bad_action"}, Status.FAILED),
        (404, {"error": "unknown_service"}, Status.FAILED),
        (422, {"error": "key_of_another_action"}, Status.FAILED),
        (500, {"status": "failed", "error": "it did not start"}, Status.FAILED),
    ],
)
def test_each_definite_answer_to_an_action_has_its_status(status: int, body: dict, expected: Status) -> None:
    assert asyncio.run(answering(status, body).act("act-1", 7, SCALE)).status is expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {}),
        (502, b"<html>"),
        (401, {"error": "unauthorized"}),
        (409, {"error": "busy"}),
        (200, {"status": "perhaps"}),
        (200, {"status": ["done"]}),
        (200, {"status": {"done": 1}}),
        (200, [1]),
        (500, {"status": "done"}),
    ],
)
def test_anything_else_leaves_open_what_happened(status: int, body: object) -> None:
    with pytest.raises(Unreachable):
        asyncio.run(answering(status, body).act("act-1", 7, SCALE))


@pytest.mark.parametrize("word", ["done", "not_done", "in_progress", "failed"])
def test_a_look_up_says_what_the_target_says(word: str) -> None:
    assert asyncio.run(answering(200, {"status": word}).look_up("act-1", 7)).status.value == word


@pytest.mark.parametrize(("status", "body"), [(404, {"error": "not_found"}), (200, {}), (503, {"status": "not_done"})])
def test_a_missing_page_is_not_a_definite_not_done(status: int, body: dict) -> None:
    with pytest.raises(Unreachable):
        asyncio.run(answering(status, body).look_up("act-1", 7))


def test_a_service_is_described_or_unknown_or_unreachable() -> None:
    assert asyncio.run(answering(200, {"name": "orders", "workers": 2}).describe("orders")) == Description(known=True, facts={"workers": 2})
    assert asyncio.run(answering(404, {"error": "unknown_service"}).describe("a/b")) == Description(known=False)
    for status, body in ((404, {"error": "not_found"}), (500, {})):
        with pytest.raises(Unreachable):
            asyncio.run(answering(status, body).describe("orders"))


def test_names_do_not_leave_their_place_in_the_address() -> None:
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path.decode())
        return httpx2.Response(404, json={"error": "unknown_service"})

    asyncio.run(executor(handler).describe("../actions?x=1"))
    assert seen == ["/services/..%2Factions%3Fx%3D1"]


def test_an_error_on_the_way_never_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout(f"with {request.headers}", request=request)

    with caplog.at_level(logging.DEBUG), pytest.raises(Unreachable) as raised:
        asyncio.run(executor(handler).act("act-1", 7, SCALE))
    assert TOKEN not in str(raised.value)
    assert TOKEN not in caplog.text
