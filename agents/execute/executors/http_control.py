"""The executor of a control plane over HTTP: the contract that the sandbox serves, and anyone may."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx2

from agents.execute.executors.base import Answer, Description, Status, Unreachable
from agents.execute.executors.facts import facts_of, plain
from schemas.actions import ActionSpec

MAX_DETAIL = 500  # characters of the target's words that reach the log
MAX_ANSWER_BYTES = 256 * 1024  # a target tells a few hundred; nothing beyond this is read

_REPORTED = {Status.DONE, Status.NOT_DONE, Status.IN_PROGRESS, Status.FAILED}


class HttpControlExecutor:
    """Speaks to one control plane; `timeout_s` bounds each call as a whole. The token stands in a header and nowhere else."""

    def __init__(self, url: str, token: str, timeout_s: float, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(timeout_s),
            transport=transport,
            trust_env=False,  # a proxy of the environment is no part of the way to the target
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def describe(self, service: str) -> Description:
        status, body = await self._call("GET", f"/services/{quote(service, safe='')}")
        if status == 404 and body.get("error") == "unknown_service":
            return Description(known=False)
        if status != 200:
            raise Unreachable(f"GET /services answered {status}")
        return Description(known=True, facts=facts_of(body))

    async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
        headers = {"Idempotency-Key": action, "Fencing-Token": str(token)}
        body = {"action": spec.action.value, "service": spec.service, "params": spec.params}
        status, told = await self._call("POST", "/actions", headers=headers, json=body)
        if status == 409 and told.get("error") == "stale_fencing_token":
            return Answer(Status.FENCED, detail=_detail(told))
        if status in {400, 404, 422}:  # refused before anything was done
            return Answer(Status.FAILED, detail=f"{status} {_detail(told)}")
        return _answer("POST /actions", status, told)

    async def look_up(self, action: str, token: int) -> Answer:
        """Look up by key. The token goes along: a target that raises its fence here shuts out a late call of an older owner."""
        status, told = await self._call("GET", f"/actions/{quote(action, safe='')}", headers={"Fencing-Token": str(token)})
        return _answer("GET /actions", status, told)

    async def _call(self, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """Ask once. Whatever is late, too long or unreadable is Unreachable: a target's words never stop the one who asked."""
        call = f"{method} {path}"
        try:
            # The client's own time-out bounds each read, and slow bytes would pass it for ever.
            async with asyncio.timeout(self._timeout_s), self._client.stream(method, path, **arguments) as response:
                body = json.loads(await _read(response, call))
        except (httpx2.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            raise Unreachable(f"{call}: {type(error).__name__}") from error
        return response.status_code, body if isinstance(body, dict) else {}


async def _read(response: httpx2.Response, call: str) -> bytes:
    """Return the body, or stop reading: where it is too long, or packed, for that may be a little that becomes very much."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Unreachable(f"{call} answered in an encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Unreachable(f"{call} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _answer(call: str, status: int, told: dict[str, Any]) -> Answer:
    """Take only a definite word of the target; everything else leaves open what happened."""
    word = told.get("status")
    if status not in {200, 202, 500} or not isinstance(word, str) or word not in _REPORTED or (status == 500 and word != Status.FAILED):
        raise Unreachable(f"{call} answered {status}")
    return Answer(Status(word), _facts(told, "before"), _facts(told, "after"), _detail(told))


def _facts(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return facts_of(value) if isinstance(value, dict) else {}


def _detail(told: dict[str, Any]) -> str:
    words = (told.get(name) for name in ("error", "message"))
    return plain(": ".join(word for word in words if isinstance(word, str)), MAX_DETAIL)
