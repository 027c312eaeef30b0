"""The one writer's hold on the store: open, migrate, insert, close."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect

from streams.harness.errors import Fatal
from streams.sink.rows import Row
from streams.sink.store import migrate
from streams.sink.store.connect import connect, public
from streams.sink.store.errors import sorted_errors

DATABASE_SETTINGS = {"session_timezone": "UTC"}


class Store:
    """A ClickHouse that the sink writes to. `directory` is that of the embedded one, None for a server."""

    def __init__(self, url: str, password: str, directory: Path | None) -> None:
        self.directory = directory
        self.place = str(directory) if directory else public(url)
        self._url = url
        self._password = password
        self._client: Any = None
        self._columns: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def embedded(self) -> bool:
        return self.directory is not None

    @property
    def client(self) -> Any:
        """The clickhouse-connect client, connected at first use; raises Fatal or Retryable."""
        with self._lock:
            if self._client is None:
                self._client = self._embed(self.directory) if self.directory else connect(self._url, self._password)
            return self._client

    def _embed(self, directory: Path) -> Any:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Fatal(f"store {directory}: {error.strerror}") from error
        with sorted_errors(f"store {directory} (it has one owner: is another sink running on it?)"):
            return clickhouse_connect.get_client(dsn="chdb://", path=str(directory.resolve()), settings=DATABASE_SETTINGS)

    def migrate(self, migrations: Sequence[migrate.Migration] | None = None) -> tuple[str, ...]:
        """Apply the migrations that are missing and return their names; idempotent; raises Fatal or Retryable."""
        client = self.client
        with sorted_errors(f"store {self.place}"):
            return migrate.migrate(client, migrate.shipped() if migrations is None else migrations)

    def insert(self, rows: Iterable[Row]) -> dict[str, int]:
        """Insert rows, one block a table, and return how many each table got.

        Raises Retryable while the store cannot take them, Poison if a value is none that its column can hold. Either way some
        tables may have theirs already: inserting the same rows again changes nothing that a reader sees.
        """
        by_table: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_table[row.table].append(row)
        client = self.client
        with sorted_errors(f"store {self.place}"):
            for table, group in by_table.items():
                types = self._types(client, table)
                block = [[row.values[name] for name in types] for row in group]
                client.insert(table, block, column_names=list(types), column_type_names=list(types.values()))
        return {table: len(group) for table, group in by_table.items()}

    def _types(self, client: Any, table: str) -> dict[str, str]:
        """Return the columns of a table with their types, asked once: each insert would ask again."""
        if table not in self._columns:
            self._columns[table] = {row[0]: row[1] for row in client.query(f"DESCRIBE TABLE {table}").result_rows}
        return self._columns[table]

    def close(self) -> None:
        """Close the client and, if embedded, the engine; the directory is then free for another process."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def open_store(url: str, password: str, directory: Path) -> Store:
    """Open the store that the settings name: a server where `url` is set, else the embedded one in `directory`.

    The embedded one is opened at once (a second owner raises Fatal); a server is reached at first use, so that a sink starts while
    it is down.
    """
    store = Store(url, password, None if url else directory)
    if store.embedded:
        _ = store.client
    return store
