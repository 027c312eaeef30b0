"""A local HTTP server that speaks the wire formats of both providers, and misbehaves on request.

server.mode = "ok" | "slow" | "trickle" | "garbage" | "truncated" | "refusal" | "429" | "529" | "wrong_order" | "hang_up",
or a name of ODD_BODIES or of ODD_BILLS. `delay_s` holds back every answer, whatever the mode.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.local_server import LocalServer, QuietHandler

ANSWER = {"explanation": "Memory grows without bound.", "order": [0, 1], "missing_evidence": ["a heap dump"]}


def anthropic_body(text: str, stop: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 321, "output_tokens": 45},
    }


def openai_body(text: str, refusal: bool = False) -> dict[str, Any]:
    part = {"type": "refusal", "refusal": "I cannot."} if refusal else {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-test",
        "output": [{"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 321,
            "output_tokens": 45,
            "total_tokens": 366,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


# What is no answer, under a status of 200.
ODD_BODIES: dict[str, bytes] = {
    "empty_object": b"{}",
    "empty_list": b"[]",
    "null": b"null",
    "string": b'"hi"',
    "number": b"7",
    "html": b"<html>gateway</html>",
    "nothing": b"",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep_content": b'{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "content_null": b'{"content":null,"output":null}',
    "content_text": b'{"content":"x","output":"x"}',
    "content_of_nulls": b'{"content":[null],"output":[null]}',
    "long_stop": json.dumps(
        {"content": [], "stop_reason": "\ud83d sk-test " + "x" * 2_000_000, "output": [], "status": "y" * 2_000}
    ).encode(),
}
# A good answer with a bill that is none.
ODD_BILLS: dict[str, Any] = {
    "no_usage": None,
    "usage_text": "x",
    "usage_list": [1],
    "tokens_null": {"input_tokens": None, "output_tokens": None},
    "tokens_text": {"input_tokens": "321", "output_tokens": "many"},
    "tokens_negative": {"input_tokens": -5, "output_tokens": -5},
    "tokens_boolean": {"input_tokens": True, "output_tokens": True},
    "tokens_endless": {"input_tokens": 10**400, "output_tokens": 10**400},
}


class LlmServer(LocalServer):
    """Use as a context; `requests` holds what was asked, with the path."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.delay_s = 0.0
        self.answer: dict[str, Any] = dict(ANSWER)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.asked = threading.Event()
        self.ended = threading.Event()
        super().__init__(self._handler())

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        super().__exit__(*error)

    def _handler(self) -> type[QuietHandler]:
        outer = self

        class Handler(QuietHandler):
            def take(self) -> None:
                body = json.loads(self.body())
                outer.requests.append((self.path, body))
                outer.asked.set()
                text = json.dumps(outer.answer)
                make = anthropic_body if self.path.endswith("/messages") else openai_body
                outer.ended.wait(outer.delay_s)
                match outer.mode:
                    case "ok":
                        self._send(200, json.dumps(make(text)).encode())
                    case "slow":
                        outer.ended.wait(60)
                    case "trickle":
                        self._trickle(json.dumps(make(text)).encode())
                    case "garbage":
                        self._send(200, json.dumps(make("let me think… { not json")).encode())
                    case "truncated":
                        self._send(200, json.dumps(make(text)).encode()[:60])
                    case "refusal":
                        refused = anthropic_body("I cannot.", "refusal") if make is anthropic_body else openai_body("", refusal=True)
                        self._send(200, json.dumps(refused).encode())
                    case "wrong_order":
                        self._send(200, json.dumps(make(json.dumps({**ANSWER, "order": [7, 7]}))).encode())
                    case "429" | "529":
                        error = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
                        self._send(int(outer.mode), json.dumps(error).encode(), {"retry-after": "30"})
                    case "hang_up":
                        self.connection.close()
                    case odd if odd in ODD_BODIES:
                        self._send(200, ODD_BODIES[odd], {"Content-Type": "text/html"} if odd == "html" else {})
                    case odd:
                        self._send(200, json.dumps({**make(text), "usage": ODD_BILLS[odd]}).encode())

            def _send(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
                self.answer(status, body, {"Content-Type": "application/json", **(more or {})})

            def _trickle(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for byte in body:
                    if outer.ended.wait(0.1):
                        return
                    try:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                    except OSError:
                        return

        return Handler
