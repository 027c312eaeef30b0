"""The asking side of sandbox.web.server."""

from __future__ import annotations

import asyncio

from sandbox.web.server import BadRequestError, parse_head


class CallFailedError(Exception):
    """No answer: refused, reset, or not in time."""


class _ClientConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._need = 0
        self._body = 0
        self._status = 0
        self._keep = True
        self.transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        return self._keep and self.transport is not None and not self.transport.is_closing()

    @property
    def silent(self) -> bool:
        """Tell whether nothing of an answer has come, so that asking again repeats nothing."""
        return not self._buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise for a stream socket
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        self._fail(ConnectionResetError("closed by the other side"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._need:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            try:
                words, headers, length = parse_head(bytes(self._buffer[:end]))
                self._status = int(words[1])
            except (BadRequestError, ValueError):
                self._fail(ConnectionResetError("not an HTTP answer"))
                return
            self._body, self._need = end + 4, end + 4 + length
            self._keep = headers.get("connection", "").lower() != "close"
        if len(self._buffer) >= self._need and self._answer is not None and not self._answer.done():
            self._answer.set_result((self._status, bytes(self._buffer[self._body : self._need])))

    async def exchange(self, data: bytes, timeout_s: float) -> tuple[int, bytes]:
        assert self.transport is not None  # noqa: S101 - only usable connections are asked
        loop = asyncio.get_running_loop()
        self._buffer.clear()
        self._need = 0
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        self._answer = answer
        timer = loop.call_later(timeout_s, self._fail, TimeoutError())
        self.transport.write(data)
        try:
            return await answer
        finally:
            timer.cancel()
            self._answer = None
            answered = answer.done() and not answer.cancelled() and answer.exception() is None
            if not answered and self.transport is not None:
                self.transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Client:
    """Asks servers of ours over kept connections."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_ClientConnection]] = {}

    async def request(
        self,
        host: str,
        port: int,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 2.0,
    ) -> tuple[int, bytes]:
        """Return status and body; raise CallFailedError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        data = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1") + body
        fresh = 0
        while True:
            connection = self._kept(host, port)
            if connection is None:
                fresh += 1
                connection = await self._connect(host, port, deadline - loop.time())
            try:
                answer = await connection.exchange(data, max(0.001, deadline - loop.time()))
            except TimeoutError as error:
                raise CallFailedError("timed out") from error
            except ConnectionError as error:
                # A server that hands its port over closes idle connections: a GET that it has not read is simply asked again.
                if method == "GET" and connection.silent and fresh < 2:
                    continue
                raise CallFailedError(str(error)) from error
            if connection.usable:
                self._idle.setdefault((host, port), []).append(connection)
            elif connection.transport is not None:
                connection.transport.close()
            return answer

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                if connection.transport is not None:
                    connection.transport.abort()
        self._idle.clear()

    def _kept(self, host: str, port: int) -> _ClientConnection | None:
        idle = self._idle.get((host, port), [])
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self, host: str, port: int, timeout_s: float) -> _ClientConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(max(0.001, timeout_s)):
                _, connection = await loop.create_connection(_ClientConnection, host, port)
        except (TimeoutError, OSError) as error:
            raise CallFailedError(str(error) or "timed out") from error
        return connection
