"""A port that hands on what comes to it and counts it, by connection: what went into a proxy, or what came out of it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections import Counter
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self

UP, DOWN = "upstream", "downstream"  # from the client to the server, and back: toxiproxy's words
CHUNK_BYTES = 65_536
STOPS_WITHIN_S = 0.02


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # who holds a connection open does not hold up the end
    request_queue_size = 128


class Tap:
    """Use as a context; `address` leads to `upstream`, host:port. A connection ends here when it ends there, and the other way round."""

    def __init__(self, upstream: str, port: int = 0) -> None:
        host, _, behind = upstream.rpartition(":")
        self._upstream = (host, int(behind))
        self._server = Server(("127.0.0.1", port), self._handler())
        self.port = int(self._server.server_address[1])
        self.address = f"127.0.0.1:{self.port}"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._open: dict[int, tuple[socket.socket, ...]] = {}
        self._ending: set[int] = set()  # open connections of which one side has ended
        self.anew()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(STOPS_WITHIN_S,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            still = list(self._open.values())
        for side in itertools.chain.from_iterable(still):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def anew(self) -> None:
        """Count from nothing, also what passes on connections that are open already."""
        with self._lock:
            self._bytes: dict[str, Counter[int]] = {UP: Counter(), DOWN: Counter()}
            self._hung_up = 0

    def carried(self, way: str) -> list[int]:
        """Return the bytes that came this way, one number for each connection on which any did."""
        with self._lock:
            return list(self._bytes[way].values())

    @property
    def hung_up(self) -> int:
        """Return how many connections were ended by what lies behind, and not by who had opened them."""
        with self._lock:
            return self._hung_up

    def _handler(self) -> type[BaseRequestHandler]:
        outer = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(outer._upstream) as behind:
                    outer._connected(self.request, behind)

        return Handler

    def _connected(self, client: socket.socket, behind: socket.socket) -> None:
        """Hand on in both directions until both have ended."""
        number = next(self._numbers)
        for side in (client, behind):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open[number] = (client, behind)
        back = threading.Thread(target=self._pass, args=(number, DOWN, behind, client), daemon=True)
        back.start()
        self._pass(number, UP, client, behind)
        back.join()
        with self._lock:
            del self._open[number]
            self._ending.discard(number)

    def _pass(self, number: int, way: str, source: socket.socket, to: socket.socket) -> None:
        ended_by = way
        while chunk := _received(source):
            with self._lock:
                self._bytes[way][number] += len(chunk)
            try:
                to.sendall(chunk)
            except OSError:
                ended_by = DOWN if way == UP else UP
                break
        with self._lock:
            self._hung_up += number not in self._ending and ended_by == DOWN
            self._ending.add(number)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


def _received(source: socket.socket) -> bytes:
    """Return what came; nothing at the end, and a reset is one."""
    try:
        return source.recv(CHUNK_BYTES)
    except OSError:
        return b""
