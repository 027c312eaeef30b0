"""The reference of the store, from the comments that its own tables carry."""

from __future__ import annotations

from typing import Any

from streams.sink.store.migrate import TABLE

_HEAD = """# The store

Generated from the comments of the migrations (`streams/sink/migrations`); a test fails when they differ.

Every table is a `ReplacingMergeTree(row_version)` over the event id, so a record that was stored twice counts once. The server that
the sink runs reads with `final = 1`: a plain SELECT is right there. On a ClickHouse server of your own, read tables with `FINAL`, or
the views, which do so themselves. All times are UTC. The calibration question is one SELECT:

```sql
SELECT * FROM calibration_ece
```
"""
_TABLES = """
SELECT name, engine, comment FROM system.tables
WHERE database = currentDatabase() AND name != {own:String}
ORDER BY engine = 'View', name
"""
_COLUMNS = "SELECT table, name, type, comment FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"


def reference(client: Any) -> str:
    """Write docs/reference/store.md for a migrated store."""
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for table, name, kind, comment in client.query(_COLUMNS).result_rows:
        columns.setdefault(table, []).append((name, kind, comment))
    parts = [_HEAD]
    for name, engine, comment in client.query(_TABLES, parameters={"own": TABLE}).result_rows:
        kind = "View" if engine == "View" else "Table"
        lines = [f"| {column} | `{of}` | {meaning} |" for column, of, meaning in columns[name]]
        parts.append("\n".join([f"## {name}", "", f"{kind}. {comment}.", "", "| column | type | meaning |", "|---|---|---|", *lines, ""]))
    return "\n".join(parts)
