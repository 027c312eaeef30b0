"""The store: ClickHouse through clickhouse-connect, embedded by default, a server by one setting."""

from __future__ import annotations

from streams.sink.store.connect import connect
from streams.sink.store.store import Store, open_store

__all__ = ["Store", "connect", "open_store"]
