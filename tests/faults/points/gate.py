"""Servers of the acting bench: a webhook that counts what it is told, and a gate before the target that remembers what came to it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

import httpx2

from tests.local_server import LocalServer, QuietHandler

LOOK_UP = "/actions/"


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
    """What came to the target, with the fencing token and the key that it bore, and what the target answered (0: nothing yet)."""

    method: str
    path: str
    token: int
    status: int = 0
    key: str = ""
    word: str = ""  # of the answer: what the target says has become of the action


class Gate(LocalServer):
    """Stands before the target, hands everything on and remembers it as it came: the target keeps no record of what it refuses."""

    def __init__(self, target: str) -> None:
        self.requests: list[Request] = []
        self._target = target
        self._counting = threading.Lock()
        super().__init__(self._handler())

    def refused(self, since: int) -> list[Request]:
        """Return the requests to act that the target refused for their token, from the one of this number on."""
        return [one for one in self.requests[since:] if one.method == "POST" and one.status == httpx2.codes.CONFLICT]

    def _came(self, request: Request) -> int:
        with self._counting:
            self.requests.append(request)
            return len(self.requests) - 1

    def _handler(self) -> type[QuietHandler]:
        outer = self

        class Handler(QuietHandler):
            def take(self) -> None:
                body = self.body()
                kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "content-length"}}
                request = Request(self.command, self.path, int(self.headers.get("Fencing-Token") or -1), key=_key(self.path, kept))
                number = outer._came(request)
                with httpx2.Client(base_url=outer._target, timeout=60.0) as client:
                    answer = client.request(self.command, self.path, content=body, headers=kept)
                outer.requests[number] = replace(request, status=answer.status_code, word=_word(answer))
                with contextlib.suppress(OSError):  # who asked may be dead by now
                    self.answer(answer.status_code, answer.content, {"Content-Type": "application/json"})

        return Handler


def _key(path: str, headers: Mapping[str, str]) -> str:
    """Return the key of the action that a request is about: of a look-up it is in the path."""
    look_up = path.removeprefix(LOOK_UP)
    return (
        unquote(look_up) if look_up != path else next((value for name, value in headers.items() if name.lower() == "idempotency-key"), "")
    )


def _word(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except json.JSONDecodeError:
        return ""
    return str(told.get("status", "")) if isinstance(told, dict) else ""
