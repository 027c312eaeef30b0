"""What a proxy of the campaign did to the traffic is counted by what went into it and what came out, on real sockets."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.network.counted import Counted, Met
from tests.faults.network.tap import Tap
from tests.faults.network.toxics import ANSWERS_LOST, CUT_ANSWER, CUT_HTTP_BYTES, CUT_REQUEST, HTTP, LATENCY, REQUESTS_LOST, SLOW
from tests.network.toxiproxy import Toxic

WITHIN_S = 10.0
QUESTION, ANSWER = b"q" * 200, b"a" * 300


class Toxics(Tap):
    """Stands for a toxiproxy: what a toxic of it drops or cuts does not come out. It can also be one that does nothing."""

    toxics: tuple[Toxic, ...] = ()
    idle = False

    def harm(self, *toxics: Toxic) -> None:
        self.toxics = () if self.idle else toxics

    def heal(self) -> None:
        self.toxics = ()

    cut = heal

    def _pass(self, number: int, way: str, source: socket.socket, to: socket.socket) -> None:
        while chunk := received(source):
            toxic = next((one for one in self.toxics if one.stream == way), None)
            if toxic is None or toxic.kind in ("latency", "bandwidth"):
                to.sendall(chunk)
            elif toxic.kind == "limit_data":
                to.sendall(chunk[:CUT_HTTP_BYTES])
                if len(chunk) > CUT_HTTP_BYTES:
                    source.shutdown(socket.SHUT_RDWR)
                    break
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


class Talk:
    """A client of the proxy, and whom it reaches behind it."""

    def __init__(self, address: str, server: socket.socket) -> None:
        host, _, port = address.rpartition(":")
        self.client = socket.create_connection((host, int(port)), timeout=WITHIN_S)
        self.behind, _ = server.accept()
        self.behind.settimeout(WITHIN_S)

    def ask(self) -> None:
        self.client.sendall(QUESTION)
        assert came(self.behind, len(QUESTION)) == QUESTION

    def answer(self) -> None:
        self.behind.sendall(ANSWER)
        assert came(self.client, len(ANSWER)) == ANSWER


class World:
    """A server and a counted proxy before it."""

    def __init__(self, server: socket.socket, toxics: Toxics, near: Tap, far: Tap, ending: contextlib.ExitStack) -> None:
        self.proxy = Counted(toxics, near, far)
        self.toxics = toxics
        self._server = server
        self._ending = ending

    def talk(self) -> Talk:
        talk = Talk(self.proxy.address, self._server)
        self._ending.callback(talk.client.close)
        self._ending.callback(talk.behind.close)
        return talk

    def harm(self, name: str) -> None:
        self.proxy.harm(*HTTP[name])


@pytest.fixture
def world() -> Iterator[World]:
    with contextlib.ExitStack() as ending:
        server = ending.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(WITHIN_S)
        far = ending.enter_context(Tap(f"127.0.0.1:{server.getsockname()[1]}"))
        toxics = ending.enter_context(Toxics(far.address))
        yield World(server, toxics, ending.enter_context(Tap(toxics.address)), far, ending)


def received(source: socket.socket) -> bytes:
    try:
        return source.recv(65_536)
    except ConnectionError:
        return b""


def came(side: socket.socket, wanted: int) -> bytes:
    """Return what came before the end, and no more than is wanted."""
    found = b""
    while len(found) < wanted and (chunk := received(side)):
        found += chunk
    return found


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < deadline, "what is waited for did not come"
        time.sleep(0.005)


def test_bytes_dropped_are_counted_by_direction_and_on_the_connections_that_had_any(world: World) -> None:
    first, second, quiet = world.talk(), world.talk(), world.talk()
    world.harm(REQUESTS_LOST)
    first.client.sendall(QUESTION)
    second.client.sendall(QUESTION)
    quiet.answer()  # the other direction is well
    until(lambda: world.proxy.met == Met("dropped", up=400, connections=2))
    assert str(world.proxy.met) == "met: 400 B up dropped on 2 connections"


def test_answers_dropped_are_not_the_requests_that_came_through(world: World) -> None:
    talk = world.talk()
    world.harm(ANSWERS_LOST)
    talk.ask()
    assert not world.proxy.met
    talk.behind.sendall(ANSWER)
    until(lambda: world.proxy.met == Met("dropped", down=300, connections=1))


@pytest.mark.parametrize(("name", "did"), [(LATENCY, "delayed"), (SLOW, "slowed")])
def test_what_is_late_is_counted_in_both_directions(world: World, name: str, did: str) -> None:
    talk = world.talk()
    world.harm(name)
    talk.ask()
    talk.answer()
    assert world.proxy.met == Met(did, up=200, down=300, connections=1)
    assert str(world.proxy.met) == f"met: 200 B up and 300 B down {did} on 1 connection"


def test_a_request_or_an_answer_that_is_cut_counts_with_what_did_not_come_through(world: World) -> None:
    world.harm(CUT_REQUEST)
    talk, other = world.talk(), world.talk()
    talk.client.sendall(QUESTION)
    assert came(talk.behind, len(QUESTION)) == QUESTION[:CUT_HTTP_BYTES]
    talk.behind.close()
    assert came(talk.client, 1) == b""
    other.client.sendall(b"short")
    assert came(other.behind, 5) == b"short"
    other.client.close()  # nobody cut this one
    until(lambda: world.proxy.met == Met("cut off", up=140, connections=1))
    world.proxy.heal()
    world.harm(CUT_ANSWER)
    talk = world.talk()
    talk.behind.sendall(ANSWER)
    assert came(talk.client, len(ANSWER)) == ANSWER[:CUT_HTTP_BYTES]
    until(lambda: world.proxy.met == Met("cut off", down=240, connections=1))


def test_only_what_passes_while_the_trouble_is_on_counts(world: World) -> None:
    talk = world.talk()
    talk.ask()
    world.harm(LATENCY)
    assert not world.proxy.met
    assert str(world.proxy.met) == "met: nothing delayed on 0 connections"
    talk.ask()
    world.proxy.heal()
    talk.answer()
    assert world.proxy.met == Met("delayed", up=200, connections=1)
    world.harm(LATENCY)  # the next trouble begins with nothing
    world.proxy.cut()
    assert world.proxy.met == Met("delayed")


@pytest.mark.parametrize("name", [REQUESTS_LOST, ANSWERS_LOST, CUT_REQUEST, CUT_ANSWER])
def test_a_proxy_that_does_no_harm_has_met_nothing_whatever_passes(world: World, name: str) -> None:
    world.toxics.idle = True
    world.harm(name)
    talk = world.talk()
    talk.ask()
    talk.answer()
    talk.behind.close()  # a server that ends a connection has not cut it
    assert came(talk.client, 1) == b""
    assert not world.proxy.met


def test_a_tap_knows_who_hung_up() -> None:
    with contextlib.ExitStack() as ending:
        server = ending.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(WITHIN_S)
        tap = ending.enter_context(Tap(f"127.0.0.1:{server.getsockname()[1]}"))
        by_client, by_server = Talk(tap.address, server), Talk(tap.address, server)
        by_client.client.close()
        assert came(by_client.behind, 1) == b""  # the end comes through
        by_client.behind.close()
        assert tap.hung_up == 0
        by_server.behind.close()
        assert came(by_server.client, 1) == b""
        by_server.client.close()
        assert tap.hung_up == 1
