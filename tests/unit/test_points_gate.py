"""The servers of the acting bench remember what a target and a receiver of people's own would not."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2

from tests.faults.points.gate import Gate, Receiver, Request


class Target(BaseHTTPRequestHandler):
    """Refuses every token below 5."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if int(self.headers["Fencing-Token"]) >= 5 else 409)
        self._tell(body)

    def do_GET(self) -> None:
        self.send_response(200)
        self._tell(b'{"status": "not_done"}')

    def _tell(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_request_goes_on_to_the_target_and_what_it_refuses_is_remembered() -> None:
    target = HTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, args=(0.02,), daemon=True).start()
    with Gate(f"http://127.0.0.1:{target.server_address[1]}") as gate, httpx2.Client(base_url=gate.url) as client:
        for token in ("9", "3"):
            answer = client.post("/actions", content=b"restart", headers={"Fencing-Token": token, "Idempotency-Key": "act-1"})
            assert answer.content == b"restart"
        client.get("/actions/act%201", headers={"Fencing-Token": "9"})
        refused = Request("POST", "/actions", 3, 409, "act-1")
        look_up = Request("GET", "/actions/act%201", 9, 200, "act 1", "not_done")
        assert gate.requests == [Request("POST", "/actions", 9, 200, "act-1"), refused, look_up]
        assert gate.refused(0) == [refused]
        assert gate.refused(2) == []
    target.shutdown()
    target.server_close()


def test_a_receiver_refuses_as_often_as_it_is_told_to_and_counts_what_it_took() -> None:
    with Receiver() as receiver:
        receiver.refusals = 1
        answers = [httpx2.post(receiver.url, content=b"{}", headers={"Idempotency-Key": "n1"}).status_code for _ in range(3)]
    assert answers == [503, 200, 200]
    assert receiver.told == {"n1": 2}
