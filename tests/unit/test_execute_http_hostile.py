"""The HTTP executor and a target that answers anything: what it says never stops execute, and every record of it can be written."""

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2
import pytest

from agents.execute.executors import Answer, DryRunExecutor, HttpControlExecutor, Status, Unreachable
from agents.execute.executors.facts import MAX_FLAGS, TEXT_CHARS, facts_of
from agents.execute.executors.http_control import MAX_ANSWER_BYTES
from agents.execute.records import finished_of, started_of
from models.execution.check import TargetView
from schemas.actions import FinishStatus, Seen
from schemas.base import canonical
from tests.acting_world import SCALE, World

RECORD_BYTES = 1_048_588  # a topic's limit
HALF = "\ud83d"
CLEAN = {"workers": 2, "release": "v2", "previous_release": "v1", "flags": {"slow": False}}


def executor(handler: Callable[[httpx2.Request], httpx2.Response], timeout_s: float = 1.0) -> HttpControlExecutor:
    return HttpControlExecutor("http://control/", "token", timeout_s, transport=httpx2.MockTransport(handler))


def answering(body: bytes, headers: dict[str, str] | None = None) -> HttpControlExecutor:
    return executor(lambda request: httpx2.Response(200, content=body, headers=headers))


CALLS = [
    lambda one: one.describe("orders"),
    lambda one: one.act("act-1", 7, SCALE),
    lambda one: one.look_up("act-1", 7),
]

UNREADABLE = {
    "deep list": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep facts": b'{"status":"done","after":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "too long": json.dumps({"status": "done", "workers": 2, "after": {"note": "x" * MAX_ANSWER_BYTES}}).encode(),
    "a number of many digits": b'{"status":"done","workers":' + b"9" * 5000 + b"}",
    "no JSON": b"<html>",
    "nothing": b"",
    "no text": b"\xff\xfe\xff",
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Deep bodies are parsed at the edge of the stack: garbage of other tests is not to be finalised there."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_leaves_open_what_happened(call: Callable, body: bytes) -> None:
    with pytest.raises(Unreachable):
        asyncio.run(call(answering(body)))


@pytest.mark.parametrize("call", CALLS)
def test_a_little_that_unpacks_to_very_much_is_not_unpacked(call: Callable) -> None:
    bomb = gzip.compress(b'{"status":"done"}' + b" " * 50_000_000)
    assert len(bomb) < MAX_ANSWER_BYTES
    with pytest.raises(Unreachable, match="encoding"):
        asyncio.run(call(answering(bomb, {"Content-Encoding": "gzip"})))


@pytest.mark.parametrize("call", CALLS)
def test_reading_stops_at_the_limit(call: Callable) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    with pytest.raises(Unreachable, match="more than"):
        asyncio.run(call(executor(lambda request: httpx2.Response(200, content=endless()))))
    assert sent <= MAX_ANSWER_BYTES + 2 * 65_536


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_bounded_as_a_whole(call: Callable) -> None:
    async def asked() -> None:
        """A peer that says how long its answer is, and then sends a byte now and then."""

        async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        one = HttpControlExecutor(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "token", 0.2)
        try:
            async with asyncio.timeout(5):
                with pytest.raises(Unreachable, match="TimeoutError"):
                    await call(one)
        finally:
            server.close()
            await one.close()

    asyncio.run(asked())


def test_being_cut_off_is_no_time_out() -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def cut() -> None:
        one = HttpControlExecutor("http://control/", "token", 30.0, transport=httpx2.MockTransport(hang))
        task = asyncio.create_task(one.describe("orders"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut())


def test_only_what_is_used_is_kept_of_a_description() -> None:
    told = {**CLEAN, "name": "orders", "incarnation": 3, "up": True, "x": HALF}
    described = asyncio.run(answering(json.dumps(told).encode()).describe("orders"))
    assert (described.known, described.facts) == (True, CLEAN)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"workers": True, "release": 1, "previous_release": None, "flags": []}, {}),
        ({"workers": -1}, {}),
        ({"workers": 10**30}, {}),
        ({"workers": float("nan")}, {}),
        ({"workers": 2.0}, {}),
        ({"release": f"v{HALF}1"}, {"release": "v?1"}),
        ({"release": "v" * (TEXT_CHARS + 1)}, {"release": "v" * (TEXT_CHARS - 1) + "…"}),
        ({"release": "v" * TEXT_CHARS}, {"release": "v" * TEXT_CHARS}),
        ({"flags": {"on": True, HALF: False, "text": "on", "deep": [[]]}}, {"flags": {"on": True, "?": False}}),
    ],
)
def test_a_fact_is_of_its_type_and_bounded_or_stays_away(told: dict, kept: dict) -> None:
    assert facts_of(told) == kept


def test_the_largest_records_stay_far_below_the_limit() -> None:
    worst = {"release": "\U0001f600" * 5000, "previous_release": "\U0001f600" * 5000}
    worst["flags"] = {f"{number}{chr(0x1F600) * 300}": True for number in range(5 * MAX_FLAGS)}
    facts = facts_of(worst)
    assert len(facts["flags"]) == MAX_FLAGS
    grant = _grant()
    answer = Answer(Status.DONE, facts, facts, "\U0001f600" * 500)
    assert len(canonical(finished_of(grant, 1, FinishStatus.SUCCEEDED, answer, 1, looked_up=False))) < RECORD_BYTES / 4
    assert len(canonical(started_of(grant, 1, Seen(target=facts), 1))) < RECORD_BYTES / 4


def _grant():
    from schemas.actions import Grant

    world = World()
    world.approved()
    world.settle()
    (grant,) = world.logs.events("airra.actions.v1", Grant)
    return grant


ODD_AFTER = [
    {"release": HALF},
    {"x": HALF},
    {HALF: 1},
    {"flags": {HALF: True}},
    {"workers": "1e999"},
    {"deep": json.loads("[" * 400 + "]" * 400)},
    "text",
    None,
]


@pytest.mark.parametrize("after", ODD_AFTER)
def test_after_the_effect_its_end_is_always_written(after: object) -> None:
    body = json.dumps({"status": "done", "before": {"x": HALF}, "after": after, "message": f"done {HALF}"}).replace('"1e999"', "1e999")
    one = answering(body.encode())
    for answer in (asyncio.run(one.act("act-1", 7, SCALE)), asyncio.run(one.look_up("act-1", 7))):
        assert (answer.status, answer.detail) == (Status.DONE, "done ?")
        assert canonical(finished_of(_grant(), 1, FinishStatus.SUCCEEDED, answer, 1, looked_up=False))


def test_execute_acts_and_finishes_on_a_target_of_strange_words() -> None:
    """The whole of execute over HTTP: description, effect and end, with half a surrogate pair in each."""
    done: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        view = {"workers": 2, "release": "v1", "x": HALF, HALF: 1e308 * 10}
        if request.method == "GET" and "/actions/" in request.url.path:
            view = {"status": "not_done"}
        if request.method == "POST":
            done.append(request.headers["idempotency-key"])
            view = {"status": "done", "before": view, "after": {"workers": 4, "x": HALF}, "message": HALF}
        return httpx2.Response(200, content=json.dumps(view).encode())

    world = World()
    world.executor = executor(handler)
    world.approved()
    world.start_execute()
    world.settle()
    (end,) = world.finished()
    assert (end.status, end.before, end.after, len(done)) == (FinishStatus.SUCCEEDED, {"workers": 2, "release": "v1"}, {"workers": 4}, 1)


def test_a_dry_run_predicts_from_what_was_kept() -> None:
    told = {**CLEAN, "flags": "none", "x": HALF}
    answer = asyncio.run(DryRunExecutor(answering(json.dumps(told).encode())).act("act-1", 7, SCALE))
    assert canonical(answer.after)
    assert answer.after == {"workers": 4, "release": "v2", "previous_release": "v1"}
    assert TargetView(known=True, facts=answer.before).facts == {"workers": 2, "release": "v2", "previous_release": "v1"}
