"""Servers of the acting bench: a webhook that counts what it is told, and a gate before the target that remembers what came to it."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass

import httpx2

from tests.local_server import LocalServer, QuietHandler


class Receiver(LocalServer):
    """A webhook that counts what it is told, by idempotency key; `refusals` answers come first as 503."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.refusals = 0
        super().__init__(self._handler())

    def _handler(self) -> type[QuietHandler]:
        outer = self

        class Handler(QuietHandler):
            def take(self) -> None:
                self.body()
                refused = outer.refusals > 0
                outer.refusals -= refused
                if not refused:
                    outer.told[self.headers["Idempotency-Key"]] += 1
                self.answer(503 if refused else 200)

        return Handler


@dataclass(frozen=True)
class Request:
    """What came to the target, with the fencing token that it bore, and what the target answered."""

    method: str
    path: str
    token: int
    status: int


class Gate(LocalServer):
    """Stands before the target, hands everything on and remembers it: the target keeps no record of what it refuses."""

    def __init__(self, target: str) -> None:
        self.requests: list[Request] = []
        self._target = target
        super().__init__(self._handler())

    def refused(self, since: int) -> list[Request]:
        """Return the requests to act that the target refused for their token, from the one of this number on."""
        return [one for one in self.requests[since:] if one.method == "POST" and one.status == httpx2.codes.CONFLICT]

    def _handler(self) -> type[QuietHandler]:
        outer = self

        class Handler(QuietHandler):
            def take(self) -> None:
                body = self.body()
                kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "content-length"}}
                with httpx2.Client(base_url=outer._target, timeout=60.0) as client:
                    answer = client.request(self.command, self.path, content=body, headers=kept)
                outer.requests.append(Request(self.command, self.path, int(self.headers.get("Fencing-Token") or -1), answer.status_code))
                with contextlib.suppress(OSError):  # who asked may be dead by now
                    self.answer(answer.status_code, answer.content, {"Content-Type": "application/json"})

        return Handler
