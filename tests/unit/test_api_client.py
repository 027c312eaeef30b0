"""The API's client: it reads, decides, and says what went wrong."""

import asyncio

import httpx2
import pytest

from api.client import ApiClient, ApiError
from schemas.http import FeedbackBody, IncidentStatus
from schemas.kinds import Mode
from tests.api_world import ALICE, incident, proposal
from tests.unit.api_calls import waiting_world  # noqa: F401 - the fixture world


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
