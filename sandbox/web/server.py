"""HTTP/1.1 with persistent connections, as lean as asyncio allows: five services have to fit into half a core."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD = 16_384
MAX_BODY = 1_048_576
BACKLOG = 256
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # what a Prometheus expects of /metrics


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE


Handler = Callable[[Request], Awaitable[Response]]


class BadRequestError(Exception):
    """What came is not a request that this server reads."""


def parse_head(data: bytes) -> tuple[list[str], dict[str, str], int]:
    """Split a head into the words of its first line, the headers, and the body's length; raise BadRequestError."""
    try:
        first, *lines = data.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise BadRequestError("malformed head") from error
    words = first.split(" ", 2)
    if len(words) < 2 or not 0 <= length <= MAX_BODY or "transfer-encoding" in headers:
        raise BadRequestError("unsupported head")
    return words, headers, length


class _ServerConnection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise for a stream socket
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                self._reply(Response(431), keep=False)
            return
        try:
            words, headers, length = parse_head(bytes(self._buffer[:end]))
        except BadRequestError:
            self._reply(Response(400), keep=False)
            return
        total = end + 4 + length
        if len(self._buffer) < total:
            return
        body = bytes(self._buffer[end + 4 : total])
        del self._buffer[:total]
        request = Request(words[0], words[1].partition("?")[0], headers, body)
        self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Request) -> None:
        response: Response | None = None
        try:
            response = await self._server.handler(request)
        finally:
            self._task = None
            if response is None:  # the handler broke: its caller must not wait for ever
                self.close()
        keep = not self._server.draining and request.headers.get("connection", "").lower() != "close"
        self._reply(response, keep=keep)
        if keep and self._buffer:
            self._next()

    def _reply(self, response: Response, *, keep: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        reason = HTTPStatus(response.status).phrase
        close = "" if keep else "Connection: close\r\n"
        size = len(response.body)
        head = f"HTTP/1.1 {response.status} {reason}\r\nContent-Type: {response.content_type}\r\nContent-Length: {size}\r\n{close}\r\n"
        self._transport.write(head.encode("latin-1") + response.body)
        if not keep:
            self._transport.close()


class Server:
    """Serves one handler on 127.0.0.1; can hand its port over to a successor without losing a request."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.draining = False
        self.connections: set[_ServerConnection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """Accept connections; `shared` lets another process listen on the same port. Return the port."""
        listener = reserve(host, port) if shared else socket.create_server((host, port), backlog=BACKLOG)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ServerConnection(self), sock=listener, backlog=BACKLOG)
        return int(listener.getsockname()[1])

    async def drain(self, grace_s: float) -> None:
        """Stop accepting, close what is idle, and give what is being served the time to be answered."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        deadline = asyncio.get_running_loop().time() + grace_s
        while self.connections and asyncio.get_running_loop().time() < deadline:
            for connection in list(self.connections):
                if not connection.busy:
                    connection.close()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.close()


def reserve(host: str, port: int = 0) -> socket.socket:
    """Bind a port that several processes of ours may bind too; as long as the socket lives, nobody else gets it."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound
