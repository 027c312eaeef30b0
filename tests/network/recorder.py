"""An HTTP server that writes down what reaches it, and answers itself (a receiver) or hands it on (a front before another server)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from tests.local_server import LocalServer, QuietHandler

HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "date", "server"})


@dataclass(frozen=True)
class Heard:
    """One request as it arrived, whole."""

    method: str
    path: str
    key: str  # its idempotency key
    body: bytes


class Recorder(LocalServer):
    """Use as a context. With `upstream` every request is handed on, and the answer back."""

    def __init__(self, upstream: str | None = None) -> None:
        self._upstream = httpx2.Client(base_url=upstream, timeout=60.0, trust_env=False) if upstream else None
        self.meanwhile: Callable[[Heard], None] = lambda _: None  # called when a request was handed on, and before it is answered
        self.refuses: Callable[[Heard], bool] = lambda _: False  # what is handed on, and answered 503 all the same
        self._heard: list[Heard] = []
        self._lock = threading.Lock()
        super().__init__(self._handler())

    @property
    def heard(self) -> list[Heard]:
        with self._lock:
            return list(self._heard)

    def of(self, method: str, path: str) -> list[Heard]:
        return [one for one in self.heard if one.method == method and one.path.startswith(path)]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._upstream is not None:
            self._upstream.close()

    def _answer(self, heard: Heard, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self._heard.append(heard)
        if self._upstream is None:
            self.meanwhile(heard)
            return 204, {}, b""
        answer = self._upstream.request(heard.method, heard.path, headers=headers, content=heard.body)
        self.meanwhile(heard)
        if self.refuses(heard):
            return 503, {}, b"{}"
        return answer.status_code, {"Content-Type": answer.headers.get("content-type", "application/json")}, answer.content

    def _handler(self) -> type[QuietHandler]:
        outer = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def take(self) -> None:
                wanted = int(self.headers.get("Content-Length", "-1" if self.command == "POST" else "0"))
                body = self.rfile.read(max(0, wanted))
                if len(body) != wanted:  # cut in its head or its body: it never arrived
                    self.close_connection = True
                    return
                heard = Heard(self.command, self.path, self.headers.get("Idempotency-Key", ""), body)
                passed = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                status, headers, answer = outer._answer(heard, passed)
                self.answer(status, answer, headers)

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True  # whoever asked is gone

        return Handler
