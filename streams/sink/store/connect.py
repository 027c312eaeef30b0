"""Connect to a ClickHouse server, or to what the sink serves, by URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect

from streams.harness.errors import Fatal
from streams.sink.store.errors import sorted_errors

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60  # above the longest query that the embedded store allows
# Rows of one id are merged when read: without it a plain SELECT could count a row that was written twice.
READ_SETTINGS = {"final": 1}


def connect(url: str, password: str = "") -> Any:
    """Open a clickhouse-connect client on `http(s)://user@host:port/database`; raise Fatal or Retryable."""
    parts = _parts(url)
    with sorted_errors(f"store {public(url)}"):
        return clickhouse_connect.get_client(
            **parts,
            password=password,
            settings=READ_SETTINGS,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
            query_retries=0,
            autogenerate_session_id=False,  # several threads may share a client
        )


def public(url: str) -> str:
    """Return the URL as logs and messages may show it: without user or password."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.hostname or ''}{f':{split.port}' if split.port else ''}{split.path}"


def _parts(url: str) -> dict[str, Any]:
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        raise Fatal(f"store_url is no address: {error}") from error
    if split.scheme not in {"http", "https"} or not split.hostname:
        raise Fatal("store_url must look like http(s)://user@host:port/database")
    if split.password is not None:
        raise Fatal("store_url holds a password: put it into store_password, where it is masked")
    return {
        "interface": split.scheme,
        "host": split.hostname,
        "port": port or (8443 if split.scheme == "https" else 8123),
        "username": unquote(split.username) if split.username else "default",
        "database": unquote(split.path.strip("/")) or None,
    }
