"""Read-only handles on the embedded engine: each query is parsed, checked, bounded in time and size."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb
from chdb import ChdbError

from streams.sink import guard

HANDLES = 4  # queries at once; two cores are shared with the stages
QUERY_SECONDS = 30
RESULT_ROWS = 1_000_000
RESULT_BYTES = 128 * 1024 * 1024
MEMORY_BYTES = 1024 * 1024 * 1024
WAIT_SECONDS = 5.0  # for a free handle, before the caller is told to come again

TOO_MANY_QUERIES = 202  # ClickHouse's codes of the same conditions
UNKNOWN_EXCEPTION = 1002
_LIMITS = (
    f"SET session_timezone = 'UTC', final = 1, max_threads = 2, max_execution_time = {QUERY_SECONDS}, timeout_overflow_mode = 'throw', "
    f"max_result_rows = {RESULT_ROWS}, max_result_bytes = {RESULT_BYTES}, result_overflow_mode = 'throw', max_memory_usage = {MEMORY_BYTES}"
)
_NORMALISE = "SELECT formatQuerySingleLine({q:String})"
_CODE = re.compile(r"Code: (\d+)\.")
_VERSION = re.compile(r" \(version [\d.]+\)")
_FORMAT = re.compile(r"\bFORMAT (\w+)(?: SETTINGS .*)?$")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class QueryError(Exception):
    """A query that failed or was refused, with ClickHouse's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    format: str
    rows_read: int
    bytes_read: int
    seconds: float


@dataclass(slots=True)
class _Handle:
    """A session of its own: its database is part of its state."""

    connection: Any
    database: str = "default"


class Reader:
    """A bounded pool of read-only sessions beside the writer's; any thread may ask."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._idle: queue.Queue[_Handle] = queue.Queue()
        for _ in range(HANDLES):
            self._idle.put(self._open())
        names = self._run("SELECT lower(name) FROM system.table_functions", "TSVRaw").body.decode().split()
        self._table_functions = frozenset(names)

    def _open(self) -> _Handle:
        connection = chdb.connect(str(self._directory.resolve()))
        connection.query(_LIMITS)
        connection.query("SET readonly = 1")  # last: nothing can be set after it, and it cannot be taken back
        return _Handle(connection)

    def query(self, sql: str, form: str = "TabSeparated", parameters: Mapping[str, str] | None = None, database: str = "default") -> Answer:
        """Run one reading query. Parameter values are escaped as in a TabSeparated field. Raises QueryError."""
        normalised = self._normalise(sql)
        try:
            guard.check(normalised, self._table_functions)
        except guard.RefusedError as refusal:
            raise QueryError(refusal.code, str(refusal)) from refusal
        return self._run(normalised, form, parameters, database)

    def _normalise(self, sql: str) -> str:
        """Let ClickHouse's parser write the query back: what is checked is what is run."""
        try:
            return self._run(_NORMALISE, "TSVRaw", {"q": sql.translate(_ESCAPES)}).body.decode().strip()
        except QueryError as error:
            raise QueryError(error.code, str(error).split(": In scope SELECT formatQuerySingleLine", 1)[0]) from error

    def _run(self, sql: str, form: str, parameters: Mapping[str, str] | None = None, database: str = "default") -> Answer:
        with self._handle() as handle:
            try:
                if handle.database != database:
                    handle.connection.query(f"USE `{database.translate(_ESCAPES).replace('`', chr(92) + '`')}`")
                    handle.database = database
                result = handle.connection.query(sql, form, params=dict(parameters or {}))
            except (ChdbError, RuntimeError) as error:
                self._renew(handle)
                raise _query_error(error) from error
            written = _FORMAT.search(sql)
            return Answer(result.bytes(), written[1] if written else form, result.rows_read(), result.bytes_read(), result.elapsed())

    def _renew(self, handle: _Handle) -> None:
        """Give a handle a new session: what a failed query had already written would stand before the next one's answer (chdb 4.4)."""
        handle.connection.close()
        fresh = self._open()
        handle.connection, handle.database = fresh.connection, fresh.database

    @contextmanager
    def _handle(self) -> Iterator[_Handle]:
        try:
            handle = self._idle.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise QueryError(TOO_MANY_QUERIES, f"{HANDLES} queries are running: try again") from None
        try:
            yield handle
        finally:
            self._idle.put(handle)

    def close(self) -> None:
        """Close every session, each once its query has ended; queries are bounded in time."""
        for _ in range(HANDLES):
            self._idle.get(timeout=2 * QUERY_SECONDS).connection.close()


def _query_error(error: Exception) -> QueryError:
    """Read ClickHouse's code and message out of an error of the engine, which repeats both when it wraps one."""
    message = _VERSION.sub("", str(error).strip())
    codes = _CODE.findall(message)
    body = message.rsplit("DB::Exception: ", 1)[-1] if codes else message
    return QueryError(int(codes[0]) if codes else UNKNOWN_EXCEPTION, body)
