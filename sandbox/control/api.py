"""The control plane's HTTP API: look at services, act on them once, look up what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from sandbox.channel import ChildError
from sandbox.control.actions import BadActionError, Change, Effect, prepare
from sandbox.control.ledger import Effect as Entry
from sandbox.control.ledger import Ledger, OtherBodyError, StaleTokenError
from sandbox.control.target import Target
from sandbox.web.server import Request, Response

ANSWER_WITHIN_S = 10.0  # what takes longer is answered 202, to be looked up
CLOSE_WITHIN_S = 1.0
MAX_KEY = 200
MAX_TOKEN = 2**63 - 1


class RefusedError(Exception):
    def __init__(self, status: int, error: str, **details: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **details}


class ControlApi:
    """Bearer token, fencing token, idempotency key; an action goes on whether or not its caller stays."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        ledger: Ledger,
        token: str,
        publish: Callable[[Change], None],
        *,
        test_hooks: bool = False,
        now: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._targets = targets
        self._ledger = ledger
        self._token = token.encode()
        self._publish = publish
        self._now = now
        self._test_hooks = test_hooks
        self._delay = (0.0, "")
        self._working: dict[str, asyncio.Task[None]] = {}

    async def handle(self, request: Request) -> Response:
        try:
            status, body = await self._route(request)
        except RefusedError as refusal:
            status, body = refusal.status, refusal.body
        return Response(status, json.dumps(body).encode())

    async def close(self) -> None:
        """Let what has begun come to its end."""
        if self._working:
            await asyncio.wait(self._working.values(), timeout=CLOSE_WITHIN_S)

    async def _route(self, request: Request) -> tuple[int, dict[str, Any]]:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), b"Bearer " + self._token):
            raise RefusedError(401, "unauthorized")
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["services"]:
                return 200, {"services": [target.view() for target in self._targets.values()]}
            case "GET", ["services", name]:
                return 200, self._target(unquote(name)).view()
            case "GET", ["actions", key]:
                self._fence_look_up(request)
                return 200, self._look_up(unquote(key))
            case "GET", ["log"]:
                return 200, {"effects": [asdict(entry) for entry in self._ledger.effects()], "highest_token": self._ledger.highest_token}
            case "POST", ["actions"]:
                return await self._act(request)
            case "POST", ["test", "delay"] if self._test_hooks:
                return self._set_delay(_object(request))
        raise RefusedError(404, "not_found", path=request.path)

    def _target(self, name: object) -> Target:
        if not isinstance(name, str) or name not in self._targets:
            raise RefusedError(404, "unknown_service", service=name, services=list(self._targets))
        return self._targets[name]

    def _look_up(self, key: str) -> dict[str, Any]:
        entry = self._ledger.find(key)
        return {"key": key, "status": "not_done"} if entry is None else _told(entry)

    def _fence_look_up(self, request: Request) -> None:
        """Whoever looks up with a newer token shuts out a late call of the older owner; reading itself needs no token."""
        if "fencing-token" in request.headers:
            with contextlib.suppress(StaleTokenError):
                self._ledger.fence(_fencing_token(request), self._now())

    async def _act(self, request: Request) -> tuple[int, dict[str, Any]]:
        key, token = _key(request), _fencing_token(request)
        body = _object(request)
        if set(body) - {"action", "service", "params"} or not isinstance(body.get("action"), str):
            raise RefusedError(400, "bad_request", message="the body is {action, service, params}")
        params = body.get("params", {})
        if not isinstance(params, dict):
            raise RefusedError(400, "bad_request", message="params is an object")
        target = self._target(body.get("service"))
        try:
            self._ledger.fence(token, self._now())
            entry = self._ledger.known(key, body["action"], target.name, params)
        except StaleTokenError as error:
            raise RefusedError(409, "stale_fencing_token", highest=error.highest) from error
        except OtherBodyError as error:
            raise RefusedError(422, "key_of_another_action", key=key) from error
        if entry is None:
            self._begin(key, token, target, body["action"], params)
        return await self._answer(key)

    def _begin(self, key: str, token: int, target: Target, action: str, params: dict[str, Any]) -> None:
        try:
            effect = prepare(target, action, params, self._now)
        except BadActionError as error:
            raise RefusedError(400, "bad_action", message=str(error)) from error
        self._ledger.begin(key, action, target.name, params, token, self._now())
        delay, self._delay = self._delay, (0.0, "")
        self._working[key] = asyncio.create_task(self._work(key, target, effect, delay))
        self._working[key].add_done_callback(lambda _: self._working.pop(key, None))

    async def _work(self, key: str, target: Target, effect: Effect, delay: tuple[float, str]) -> None:
        seconds, where = delay
        if where == "before":
            await asyncio.sleep(seconds)
        before = target.view()
        try:
            event = await effect()
        except ChildError as error:
            self._ledger.failed(key, self._now(), str(error))
            return
        self._ledger.done(key, self._now(), before, target.view())
        self._publish(event)
        if where == "after":
            await asyncio.sleep(seconds)

    async def _answer(self, key: str) -> tuple[int, dict[str, Any]]:
        task = self._working.get(key)
        if task is not None:
            await asyncio.wait([task], timeout=ANSWER_WITHIN_S)
        told = self._look_up(key)
        return (202 if told["status"] == "in_progress" else 500 if told["status"] == "failed" else 200), told

    def _set_delay(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        seconds, where = body.get("seconds"), body.get("where")
        if not isinstance(seconds, int | float) or where not in {"before", "after"}:
            raise RefusedError(400, "bad_request", message="the body is {seconds, where: before or after}")
        self._delay = (float(seconds), where)
        return 200, {"seconds": seconds, "where": where}


def _told(entry: Entry) -> dict[str, Any]:
    told = {name: value for name, value in asdict(entry).items() if name not in {"error", "before", "after"}}
    if entry.status == "done":
        return {**told, "before": entry.before, "after": entry.after}
    return {**told, "error": entry.error} if entry.status == "failed" else told


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not key or len(key) > MAX_KEY or not key.isascii() or not key.isprintable() or "/" in key:
        raise RefusedError(400, "bad_request", message="Idempotency-Key is missing or not plain text")
    return key


def _fencing_token(request: Request) -> int:
    text = request.headers.get("fencing-token", "")
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_TOKEN:
        raise RefusedError(400, "bad_request", message="Fencing-Token is missing or not a whole number")
    return int(text)


def _object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise RefusedError(400, "bad_request", message="the body is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(400, "bad_request", message="the body is not an object")
    return body
