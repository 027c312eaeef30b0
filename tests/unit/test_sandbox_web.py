"""HTTP between the services: kept connections, bounded input, time-outs, and a port that changes hands without a lost request."""

import asyncio
import contextlib

import pytest

from sandbox.web.client import CallFailedError, Client
from sandbox.web.server import MAX_BODY, Request, Response, Server, reserve

HOST = "127.0.0.1"


async def echo(request: Request) -> Response:
    return Response(200, request.method.encode() + b" " + request.path.encode() + b" " + request.body)


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_requests_share_a_kept_connection() -> None:
    server, client = Server(echo), Client()
    port = await server.listen(HOST, 0)
    for number in range(3):
        assert await client.request(HOST, port, "POST", "/a?b=c", body=b"x%d" % number) == (200, b"POST /a x%d" % number)
    assert len(server.connections) == 1
    await server.drain(1)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, b"431"),
    ],
)
async def test_what_is_not_a_request_is_refused_and_the_connection_closed(data: bytes, status: bytes) -> None:
    server = Server(echo)
    port = await server.listen(HOST, 0)
    assert (await raw(port, data)).split()[1] == status
    await server.drain(1)


async def test_nobody_there_and_nobody_answering_are_failed_calls() -> None:
    never = asyncio.Event()

    async def silent(_: Request) -> Response:
        await never.wait()
        return Response(200)

    server, client = Server(silent), Client()
    port = await server.listen(HOST, 0)
    with pytest.raises(CallFailedError, match="timed out"):
        await client.request(HOST, port, "GET", "/", timeout_s=0.05)
    with reserve(HOST) as bound, pytest.raises(CallFailedError):  # bound, but nobody listens
        await client.request(HOST, bound.getsockname()[1], "GET", "/", timeout_s=1)
    never.set()
    await server.drain(1)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_call_without_an_answer_leaves_no_connection_behind(cancelled: bool) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        ended.set()
        writer.close()

    async with await asyncio.start_server(silent, HOST, 0) as server:
        port, client = server.sockets[0].getsockname()[1], Client()
        call = asyncio.ensure_future(client.request(HOST, port, "GET", "/", timeout_s=60 if cancelled else 0.2))
        await asyncio.wait_for(asked.wait(), 5)
        if cancelled:
            call.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else CallFailedError):
            await call
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_handler_that_breaks_does_not_leave_its_caller_waiting() -> None:
    async def broken(_: Request) -> Response:
        raise ValueError("a bug")

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = Server(broken)
    port = await server.listen(HOST, 0)
    with pytest.raises(CallFailedError, match="closed by the other side"):
        await Client().request(HOST, port, "POST", "/", timeout_s=5)
    await server.drain(1)


async def test_what_is_being_served_is_answered_before_the_server_ends() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await finish.wait()
        return Response(200, b"late")

    server = Server(slow)
    port = await server.listen(HOST, 0)
    asked = asyncio.ensure_future(Client().request(HOST, port, "POST", "/", timeout_s=5))
    await begun.wait()
    draining = asyncio.ensure_future(server.drain(5))
    await asyncio.sleep(0.03)
    finish.set()
    assert await asked == (200, b"late")
    await draining


async def test_a_port_changes_hands_without_a_lost_request() -> None:
    served: list[str] = []

    def named(name: str) -> Server:
        async def handler(_: Request) -> Response:
            await asyncio.sleep(0.002)
            served.append(name)
            return Response(200)

        return Server(handler)

    bound = reserve(HOST)
    port = bound.getsockname()[1]
    old, new, client, stop = named("old"), named("new"), Client(), asyncio.Event()
    await old.listen(HOST, port, shared=True)

    async def user() -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses.append((await client.request(HOST, port, "GET", "/", timeout_s=2))[0])
        return statuses

    async def more_than(count: int) -> None:
        async with asyncio.timeout(30):
            while len(served) <= count:
                await asyncio.sleep(0.001)

    users = [asyncio.ensure_future(user()) for _ in range(8)]
    await more_than(0)
    await new.listen(HOST, port, shared=True)
    await old.drain(2)
    handed_over = len(served)
    await more_than(handed_over)
    stop.set()
    assert {status for statuses in await asyncio.gather(*users) for status in statuses} == {200}
    assert "old" in served[:handed_over]
    assert set(served[handed_over:]) == {"new"}
    await new.drain(1)
    bound.close()
