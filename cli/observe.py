"""/health and /metrics of a worker: liveness, readiness with reasons, Prometheus text."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Report = Callable[[], tuple[bool, dict[str, Any]]]


class ObserveServer:
    """Serves while the role runs; `port` is the one really bound."""

    def __init__(self, host: str, port: int, report: Report) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(report))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="observe", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(report: Report) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/health/live":
                self._answer(200, "application/json", b'{"live":true}')
            elif path in ("/health", "/health/ready"):
                ready, components = report()
                body = json.dumps({"live": True, "ready": ready, "components": components}).encode()
                self._answer(200 if ready or path == "/health" else 503, "application/json", body)
            elif path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            else:
                self._answer(404, "application/json", b'{"error":"not found","detail":"try /health, /health/ready or /metrics"}')

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Scrapes every few seconds are no news."""

    return Handler
