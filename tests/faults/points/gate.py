"""Servers of the acting bench: a webhook that counts what it is told, and a gate before the target that remembers what came to it."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx2


class Receiver:
    """A webhook that counts what it is told, by idempotency key; `refusals` answers come first as 503."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.refusals = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                refused = outer.refusals > 0
                outer.refusals -= refused
                if not refused:
                    outer.told[self.headers["Idempotency-Key"]] += 1
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@dataclass(frozen=True)
class Request:
    """What came to the target, with the fencing token that it bore, and what the target answered."""

    method: str
    path: str
    token: int
    status: int


class Gate:
    """Stands before the target, hands everything on and remembers it: the target keeps no record of what it refuses."""

    def __init__(self, target: str) -> None:
        self.requests: list[Request] = []
        self._target = target
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def refused(self, since: int) -> list[Request]:
        """Return the requests to act that the target refused for their token, from the one of this number on."""
        return [one for one in self.requests[since:] if one.method == "POST" and one.status == httpx2.codes.CONFLICT]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "content-length"}}
                with httpx2.Client(base_url=outer._target, timeout=60.0) as client:
                    answer = client.request(self.command, self.path, content=body, headers=kept)
                outer.requests.append(Request(self.command, self.path, int(self.headers.get("Fencing-Token") or -1), answer.status_code))
                with contextlib.suppress(OSError):  # who asked may be dead by now
                    self.send_response(answer.status_code)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer.content)))
                    self.end_headers()
                    self.wfile.write(answer.content)

            def do_GET(self) -> None:
                self._hand_on()

            def do_POST(self) -> None:
                self._hand_on()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
