"""A ClickHouse server for tests: ClickHouse's HTTP interface, with inserts, over the engine that chDB embeds; a process of its own.

`ClickHouseServer(folder)` starts it; `python -m tests.network.clickhouse FOLDER PORT` is what it runs. Of the interface it serves what
clickhouse-connect asks of it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2

from streams.harness.embedded import free_port
from tests.kafka.broker import REPO

PR_SET_PDEATHSIG = 1
SERVES_WITHIN_S = 30.0
BODY_BYTES = 256 * 1024 * 1024
INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\n", re.IGNORECASE | re.DOTALL)
CODE = re.compile(r"Code: (\d+)")


class ClickHouseServer:
    """Start, kill and start again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        libc = ctypes.CDLL(None)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.network.clickhouse", str(self._folder / "data"), str(self.port)],
                cwd=REPO,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one system call
            )
        self._wait()
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask it directly, past any proxy."""
        answer = httpx2.post(self.url, params={"default_format": "JSONEachRow"}, content=sql, timeout=30.0, trust_env=False)
        if answer.is_error:
            raise RuntimeError(answer.text)
        return [json.loads(line) for line in answer.text.splitlines() if line]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _wait(self) -> None:
        deadline = time.monotonic() + SERVES_WITHIN_S
        while True:
            try:
                httpx2.get(f"{self.url}/ping", timeout=1.0, trust_env=False).raise_for_status()
                return
            except httpx2.HTTPError as error:
                if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                    told = (self._folder / "server.log").read_text(errors="replace")[-800:]
                    raise RuntimeError(f"the ClickHouse of the tests does not serve: {told}") from error
                time.sleep(0.1)


class Engine:
    """The engine of one folder; one query at a time is enough here."""

    def __init__(self, folder: Path) -> None:
        import chdb

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._connection = chdb.connect(str(folder.resolve()))
        self._lock = threading.Lock()

    def run(self, statement: bytes, form: str, parameters: dict[str, str]) -> bytes:
        """Run one statement; the data of an insert follow it in the same bytes."""
        with self._lock, tempfile.NamedTemporaryFile(dir=self._folder.parent) as data:
            if insert := INSERT.match(statement):
                data.write(statement[insert.end() :])
                data.flush()
                statement = insert[1] + f" FROM INFILE '{data.name}' FORMAT ".encode() + insert[2]
            answer: bytes = self._connection.query(statement.decode(), form, params=parameters).bytes()
            return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._reply(200, b"Ok.\n", "TabSeparated")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        fields = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = _unpacked(self._body(), self.headers.get("Content-Encoding", ""))
        statement = b"\n".join(part for part in (fields.get("query", "").encode(), body) if part)
        form = self.headers.get("X-ClickHouse-Format") or fields.get("default_format") or "TabSeparated"
        parameters = {name.removeprefix("param_"): value for name, value in fields.items() if name.startswith("param_")}
        try:
            self._reply(200, self.engine.run(statement, form, parameters), form)
        except Exception as error:  # the one boundary: whatever the engine says goes to the client
            code = CODE.search(str(error))
            self._reply(500, str(error).encode(), "TabSeparated", {"X-ClickHouse-Exception-Code": code[1] if code else "1002"})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        from streams.sink.form import read_chunked

        return read_chunked(self.rfile, BODY_BYTES)

    def _reply(self, status: int, body: bytes, form: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        told = {"Content-Length": str(len(body)), "X-ClickHouse-Format": form, "X-ClickHouse-Timezone": "UTC", **(more or {})}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding != "lz4":
        return body
    import lz4.frame  # type: ignore[import-untyped]  # it comes with clickhouse-connect, which packs what it inserts

    return bytes(lz4.frame.decompress(body))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    handler = type("Handler", (_Handler,), {"engine": Engine(given.folder)})
    server = ThreadingHTTPServer(("127.0.0.1", given.port), handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
