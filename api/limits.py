"""What every request passes: a size limit, safe headers, and the count of what came of it."""

from __future__ import annotations

import contextlib
import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.http import Problem
from schemas.topics import WRITE

MAX_BODY = 65_536  # bytes; the largest honest body is a few kB of reason
MAX_BODIES = {"/api/v1/write": WRITE.max_message_bytes}  # by path

REQUESTS = Counter("airra_api_requests_total", "answered requests", ["route", "code"])
SECONDS = Histogram("airra_api_request_seconds", "from the request to the end of its answer", ["route"])

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    # The pages have no script at all, so an injected one cannot run.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)


class TooLarge(Exception):
    """The body went over the limit while it was read; whoever reads it stops here."""


class Limits:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = MAX_BODIES.get(scope["path"], MAX_BODY)
        began = time.perf_counter()
        code = 500
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise TooLarge
            return message

        async def guarded(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        async def silenced(message: Message) -> None:
            """Pass the application's answer on, unless it is about a body that it was not let read to the end."""
            if taken <= most:
                await guarded(message)

        try:
            if _declared(scope) <= most:
                with contextlib.suppress(TooLarge):
                    await self._app(scope, limited, silenced)
            if max(taken, _declared(scope)) > most:
                await _refuse(guarded, most)
        finally:
            route = getattr(scope.get("route"), "path", "other")  # the template, so that the count stays bounded
            REQUESTS.labels(route, str(code)).inc()
            SECONDS.labels(route).observe(time.perf_counter() - began)


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


async def _refuse(send: Send, most: int) -> None:
    problem = Problem(error="too_large", detail=f"the body is over {most} bytes", what_to_do="send less at once")
    body = problem.model_dump_json(exclude_none=True).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
