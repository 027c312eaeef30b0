"""The executor of a control plane over HTTP: the contract that the sandbox serves, and anyone may."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2

from agents.execute.executors.base import Answer, Description, Status, Unreachable
from schemas.actions import ActionSpec

MAX_DETAIL = 500  # characters of the target's words that reach the log

_REPORTED = {Status.DONE, Status.NOT_DONE, Status.IN_PROGRESS, Status.FAILED}


class HttpControlExecutor:
    """Speaks to one control plane; `timeout_s` bounds each call. The token stands in a header and nowhere else."""

    def __init__(self, url: str, token: str, timeout_s: float, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._client = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
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
        return Description(known=True, facts=body)

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
        try:
            response = await self._client.request(method, path, **arguments)
            body = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}") from error
        return response.status_code, body if isinstance(body, dict) else {}


def _answer(call: str, status: int, told: dict[str, Any]) -> Answer:
    """Take only a definite word of the target; everything else leaves open what happened."""
    word = told.get("status")
    if status not in {200, 202, 500} or word not in _REPORTED or (status == 500 and word != Status.FAILED):
        raise Unreachable(f"{call} answered {status}")
    return Answer(Status(word), _object(told, "before"), _object(told, "after"), _detail(told))


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _detail(told: dict[str, Any]) -> str:
    words = (told.get(name) for name in ("error", "message"))
    return ": ".join(word for word in words if isinstance(word, str))[:MAX_DETAIL]
