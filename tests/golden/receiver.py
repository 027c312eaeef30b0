"""An HTTP server on 127.0.0.1 that keeps the bodies it is sent, and answers as a receiver of remote_write or OTLP does."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from streams.normalise.formats.remote_write import unpack
from streams.normalise.formats.remote_write_count import count_2
from tests.golden.messages import Message

KEPT_HEADERS = frozenset({"content-type", "content-encoding", "user-agent", "x-prometheus-remote-write-version"})
WRITE_2 = "io.prometheus.write.v2.Request"


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, list[Message]] = defaultdict(list)  # by path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        headers = tuple((name.lower(), value.encode()) for name, value in self.headers.items() if name.lower() in KEPT_HEADERS)
        self.server.bodies[self.path].append(Message(body, headers=headers))
        kind = self.headers.get("content-type", "")
        answer = b"{}" if kind == "application/json" else b""
        self.send_response(200)
        if WRITE_2 in kind:  # without them the sender takes nothing for written
            for name, value in count_2(unpack(body))[0].headers.items():
                self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join()
