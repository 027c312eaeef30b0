"""Read a request of ClickHouse's HTTP interface: the query may stand in the address, in the body, or in a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from io import BufferedIOBase

from streams.sink.guard import READONLY
from streams.sink.reader import QueryError

_NOT_IMPLEMENTED = 48
# What clients send about the transport: this server answers in one piece, uncompressed, without sessions, so it may pass over them.
_TRANSPORT = frozenset(
    {
        *("buffer_size", "cancel_http_readonly_queries_on_client_close", "client_protocol_version", "compress", "decompress"),
        *("enable_http_compression", "http_headers_progress_interval_ms", "password", "quota_key", "role", "send_progress_in_http_headers"),
        *("session_check", "session_id", "session_timeout", "user", "wait_end_of_query"),
    }
)
_OWN = frozenset({"query", "database", "default_format", "query_id"})
_PARAMETER = "param_"


@dataclass(frozen=True, slots=True)
class Asked:
    sql: str
    parameters: dict[str, str]
    form: str
    database: str
    query_id: str


def read(address: Mapping[str, str], content_type: str, encoding: str, body: bytes) -> Asked:
    """Put a request together; raise QueryError for what this server does not do, ValueError for what is malformed."""
    fields = dict(address)
    if content_type.lower().startswith("multipart/form-data"):
        fields |= _fields(content_type, body)
        body = b""
    changes = sorted(name for name in fields if name not in _OWN | _TRANSPORT and not name.startswith(_PARAMETER))
    sql = fields.get("query", "").strip()
    if encoding.lower() not in {"", "identity"}:
        raise QueryError(READONLY, "the store is read-only here: inserts are refused, and a query must come uncompressed")
    if changes:
        raise QueryError(READONLY, f"Cannot modify '{changes[0]}' setting in readonly mode")
    return Asked(
        sql="\n".join(part for part in (sql, body.decode().strip()) if part),
        parameters={name.removeprefix(_PARAMETER): value for name, value in fields.items() if name.startswith(_PARAMETER)},
        form=fields.get("default_format") or "TabSeparated",
        database=fields.get("database") or "default",
        query_id=fields.get("query_id", ""),
    )


def read_chunked(stream: BufferedIOBase, limit: int) -> bytes:
    """Read a body in chunks; raise ValueError where it is malformed or longer than `limit` bytes."""
    parts: list[bytes] = []
    taken = 0
    while size := int(stream.readline(64).split(b";", 1)[0], 16):
        taken += size
        if size < 0 or taken > limit:
            raise ValueError(f"a body of more than {limit} bytes")
        parts.append(stream.read(size))
        stream.readline(3)
    while stream.readline(1024).strip():
        pass
    return b"".join(parts)


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    fields = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise QueryError(_NOT_IMPLEMENTED, "external data is not taken here")
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode()
    return fields
