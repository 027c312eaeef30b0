"""Serve the embedded store over ClickHouse's HTTP interface, read-only, on this machine: clickhouse-connect and curl work as usual."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

import structlog

from streams.harness.errors import Fatal
from streams.sink import form
from streams.sink.guard import FUNCTION_NOT_ALLOWED, READONLY
from streams.sink.reader import TOO_MANY_QUERIES, Answer, QueryError, Reader
from streams.sink.store import Store

log = structlog.get_logger()

BODY_BYTES = 4 * 1024 * 1024
IDLE_SECONDS = 60  # a kept-open connection that says nothing
_STATUS = {READONLY: HTTPStatus.FORBIDDEN, FUNCTION_NOT_ALLOWED: HTTPStatus.FORBIDDEN, TOO_MANY_QUERIES: HTTPStatus.SERVICE_UNAVAILABLE}
_BAD_ARGUMENTS = 36
_STATUS |= dict.fromkeys((36, 43, 47, 62, 456, 457), HTTPStatus.BAD_REQUEST)  # arguments, types, unknown column, syntax, parameters
_STATUS |= dict.fromkeys((46, 60, 81), HTTPStatus.NOT_FOUND)  # unknown function, table, database
_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "Native": "application/octet-stream",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
}


class StoreServer:
    """The HTTP server beside the sink; `start` returns once it listens."""

    def __init__(self, store: Store, host: str = "127.0.0.1", port: int = 0) -> None:
        self._store = store
        self._bind = (host, port)
        self._server: ThreadingHTTPServer | None = None
        self._reader: Reader | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is the real one, also where 0 was asked for."""
        if self._server is None:
            raise Fatal("the store's server has not been started")
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listen and serve in a thread; raises Fatal if the port is taken or the store is not the embedded one."""
        if self._store.directory is None:
            raise Fatal("only the embedded store is served here: readers connect to the server straight")
        self._store.migrate()  # whoever can connect finds the tables; it also opens the engine before the readers do
        self._reader = Reader(self._store.directory)
        handler = type("Handler", (_Handler,), {"reader": self._reader, "allowed_hosts": _allowed_hosts(self._bind[0])})
        try:
            self._server = _Server(self._bind, handler)
        except OSError as error:
            self._reader.close()
            raise Fatal(f"the store cannot listen on {self._bind[0]}:{self._bind[1]}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="store-server", daemon=True)
        self._thread.start()
        log.info("store_served", url=self.url)

    def stop(self) -> None:
        """Stop listening, wait for running queries (they are bounded in time) and close their sessions."""
        if self._server is None or self._reader is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._reader.close()
        self._server = self._reader = self._thread = None


def _allowed_hosts(bound: str) -> frozenset[str] | None:
    """Return the Host headers that are taken: on loopback only its names, so that no web page can reach the store by DNS rebinding."""
    try:
        loopback = bound == "localhost" or ipaddress.ip_address(bound).is_loopback
    except ValueError:
        loopback = False
    return frozenset({bound, "localhost", "127.0.0.1", "::1"}) if loopback else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle kept-open connection must not hold up a shutdown

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a connection that broke off instead of printing its traceback."""
        del request
        log.info("store_connection_lost", client=str(client_address))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "airra-store"
    sys_version = ""
    timeout = IDLE_SECONDS
    reader: ClassVar[Reader]
    allowed_hosts: ClassVar[frozenset[str] | None]

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._ask)

    def _get(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/ping" or (path.path == "/" and not path.query and not self.headers.get("Content-Length")):
            self._reply(HTTPStatus.OK, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
        else:
            self._ask()

    def _guarded(self, respond: Callable[[], None]) -> None:
        try:
            self._check_host()
            respond()
        except QueryError as error:
            self._fail(error)
        except ValueError as error:  # a malformed request: bad length, bad UTF-8, bad address
            self.close_connection = True
            self._fail(QueryError(_BAD_ARGUMENTS, f"malformed request: {error}"))

    def _check_host(self) -> None:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if self.allowed_hosts is not None and host not in self.allowed_hosts:
            raise QueryError(_BAD_ARGUMENTS, f"host {host!r} is not this machine")

    def _ask(self) -> None:
        path = urlsplit(self.path)
        body = self._body()
        if path.path != "/":
            raise QueryError(_BAD_ARGUMENTS, f"there is no {path.path} here: ask / or /ping")
        query = dict(parse_qsl(path.query, keep_blank_values=True, strict_parsing=bool(path.query), errors="strict"))
        asked = form.read(query, self.headers.get("Content-Type", ""), self.headers.get("Content-Encoding", ""), body)
        wanted = self.headers.get("X-ClickHouse-Format") or asked.form
        answer = self.reader.query(asked.sql, wanted, asked.parameters, self.headers.get("X-ClickHouse-Database") or asked.database)
        self._reply(HTTPStatus.OK, answer.body, self._describe(answer, asked.query_id))

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return form.read_chunked(self.rfile, BODY_BYTES)
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= BODY_BYTES:
            self.close_connection = True
            raise QueryError(_BAD_ARGUMENTS, f"a query of {length} bytes is too long: {BODY_BYTES} at most")
        return self.rfile.read(length)

    @staticmethod
    def _describe(answer: Answer, query_id: str) -> dict[str, str]:
        summary = {"read_rows": answer.rows_read, "read_bytes": answer.bytes_read, "elapsed_ns": int(answer.seconds * 1e9)}
        return {
            "Content-Type": _TYPES.get(answer.format, "text/plain; charset=UTF-8"),
            "X-ClickHouse-Format": answer.format,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Query-Id": "".join(letter for letter in query_id if letter.isalnum() or letter == "-"),
            "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
        }

    def _fail(self, error: QueryError) -> None:
        status = _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Exception-Code": str(error.code)}
        self._reply(status, f"Code: {error.code}. DB::Exception: {error}\n".encode(), headers)

    def _reply(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing: addresses hold queries and their values."""
