"""A schema registry on a real HTTP server, which answers what it was told; and a clock that stands still."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.local_server import LocalServer, QuietHandler

# Confluent's API reference: the answer to GET /schemas/ids/1
AVRO_TEXT = '{"type": "string"}'


class FakeRegistry(LocalServer):
    """Answers a path (with its query) by what it was told; 404 as the API does for all else; `gate` holds answers back."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.gate = threading.Event()
        self.arrived = threading.Event()
        self.gate.set()
        fake = self

        class Handler(QuietHandler):
            def take(self) -> None:
                fake.asked.append(self.path)
                fake.logins.append(self.headers.get("Authorization"))
                fake.arrived.set()
                fake.gate.wait(10)
                self.answer(*fake.answers.get(self.path, (404, b'{"error_code": 40403, "message": "Schema not found"}')))

        super().__init__(Handler)

    def tell(self, path: str, status: int = 200, **body: Any) -> None:
        self.answers[path] = (status, json.dumps(body).encode())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now
