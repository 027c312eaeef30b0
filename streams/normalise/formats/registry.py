"""A client of the schema registry that Confluent's REST API describes (Redpanda, Karapace and others serve it too).

What an id means never changes, so it is asked once. A registry that is away, refuses the login or answers nonsense says nothing of the
record: that is Retryable. Only the registry's own word that it has no such schema, or what a schema itself is, rejects a record.

Who asks waits for the answer, so a registry that could not be reached is not asked again for a while, whatever the id.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from uuid import UUID

import httpx2
import msgspec

from streams.harness.errors import Retryable
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.jsons import DECODE_ERRORS

MOST_SCHEMAS = 1_000  # kept; a company has some hundreds, each of some kilobytes
UNKNOWN_S = 60.0  # what is unknown is asked for again then: a producer may register a moment after it wrote
MOST_UNKNOWN = 100  # ids asked for in vain within that: all sources wait for each, and every record of garbage has an id of its own
WRONG_S = 600.0  # a registry that is well and answers nonsense about one id for so long: its records wait no longer, and others behind them
AWAY_S = 4.0  # not asked again for so long; less than the consumer's HOLD_S, so that a partition that is read on is not refused anew
MOST_REFERENCES = 100  # of one schema, with those of its references
MAX_ANSWER_BYTES = 4 * 1024 * 1024  # a registry's own limit on a schema is one megabyte
_NOT_FOUND = range(40_400, 40_500)  # error codes of the API: unknown subject, version, schema; a proxy's 404 has none
_NO_SUCH_FORMAT = 501  # Redpanda's answer to a ?format= it does not know


class SchemaType(StrEnum):
    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Schema:
    type: SchemaType
    text: str  # of PROTOBUF a FileDescriptorProto in Base64
    references: tuple[tuple[str, Schema], ...] = ()  # by the name under which the text speaks of them


SchemaId = int | UUID


class _Wrong(Retryable):
    """An answer that says nothing of the schema."""


class Schemas(Protocol):
    def schema(self, asked: SchemaId) -> Schema:
        """Raise Rejected where there is none, Retryable where nobody can say."""


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Answer(msgspec.Struct, rename="camel"):
    schema: str
    schema_type: str | None = None  # AVRO, as of a registry that knew nothing else
    references: list[_Reference] | None = None


class _Error(msgspec.Struct):
    error_code: int = 0


_ANSWER = msgspec.json.Decoder(_Answer)
_ERROR = msgspec.json.Decoder(_Error)


@dataclass(slots=True)
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0


class Registry:
    """Safe to share between threads: of one id there is one request at a time. The login of the address is shown nowhere."""

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = 5.0,
        most: int = MOST_SCHEMAS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        split = urlsplit(url)
        self.address = urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path.rstrip("/"), "", ""))
        self._clock = clock
        self._timeout_s = timeout_s
        self._most = most
        self._client = httpx2.Client(
            auth=(unquote(split.username), unquote(split.password or "")) if split.username is not None else None,
            headers={"Accept": "application/vnd.schemaregistry.v1+json, application/json", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(timeout_s),
            transport=transport,
            trust_env=False,  # neither a proxy nor a .netrc of the environment is part of the way
        )
        self._known: OrderedDict[SchemaId, Schema] = OrderedDict()  # the longest unused first
        self._unknown: OrderedDict[SchemaId, tuple[float, Rejection]] = OrderedDict()  # until when; the oldest first
        self._wrong: OrderedDict[SchemaId, float] = OrderedDict()  # since when it is answered with nonsense
        self._away_until = -math.inf
        self._turns: dict[SchemaId, _Turn] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def schema(self, asked: SchemaId) -> Schema:
        with self._turn(asked):
            found = self._remembered(asked)
            if found is not None:
                return found
            self._forget()
            if len(self._unknown) >= MOST_UNKNOWN:
                raise Rejected(Reason.MISSING_FIELD, f"schema {asked} was not asked for: {MOST_UNKNOWN} in {UNKNOWN_S:.0f} s were unknown")
            if (left := self._away_until - self._clock()) > 0:
                raise Retryable(f"{self.address} could not be reached; it is asked again in {left:.1f} s")
            try:
                schema = self._asked(asked)
            except Rejected as refused:
                with self._guard:
                    self._unknown[asked] = (self._clock() + UNKNOWN_S, refused.rejection)
                raise
            with self._guard:
                self._known[asked] = schema
                if len(self._known) > self._most:
                    self._known.popitem(last=False)
            return schema

    def _asked(self, asked: SchemaId) -> Schema:
        path = f"/schemas/ids/{asked}" if isinstance(asked, int) else f"/schemas/guids/{asked}"
        try:
            schema = self._resolve(path, [MOST_REFERENCES], SchemaType.AVRO)
        except Rejected:
            with self._guard:
                self._wrong.pop(asked, None)  # that was an answer
            raise
        except _Wrong as wrong:
            with self._guard:
                since = self._wrong.setdefault(asked, self._clock())
                if len(self._wrong) > self._most:
                    self._wrong.popitem(last=False)
            if (lasts := self._clock() - since) < WRONG_S or not self._is_well():
                raise
            raise Rejected(Reason.MISSING_FIELD, f"for {lasts:.0f} s the schema registry, which is well otherwise: {wrong}") from None
        with self._guard:
            self._wrong.pop(asked, None)
        return schema

    def _is_well(self) -> bool:
        try:
            return self._get("/schemas/types", {})[0] == 200
        except Retryable:
            return False

    def _remembered(self, asked: SchemaId) -> Schema | None:
        with self._guard:
            found = self._known.get(asked)
            if found is not None:
                self._known.move_to_end(asked)
                return found
            until, rejection = self._unknown.get(asked, (0.0, None))
            if rejection is not None and self._clock() < until:
                raise Rejected(rejection.reason, rejection.detail)
            self._unknown.pop(asked, None)
            return None

    def _forget(self) -> None:
        """Let go of what was unknown long ago."""
        with self._guard:
            while self._unknown and next(iter(self._unknown.values()))[0] <= self._clock():
                self._unknown.popitem(last=False)

    @contextmanager
    def _turn(self, asked: SchemaId) -> Iterator[None]:
        with self._guard:
            turn = self._turns.setdefault(asked, _Turn())
            turn.waiting += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._guard:
                turn.waiting -= 1
                if not turn.waiting:
                    del self._turns[asked]

    def _resolve(self, path: str, left: list[int], kind: SchemaType) -> Schema:
        """Ask for one schema and all it refers to; `left` counts down over them all, so that a circle ends."""
        answer = self._ask(path, kind)
        told = answer.schema_type or SchemaType.AVRO
        if told not in list(SchemaType):
            raise Rejected(Reason.WRONG_TYPE, f"a schema of type {told[:64]!r}; {', '.join(SchemaType)} are read")
        if told == SchemaType.PROTOBUF != kind:  # asked again in the form that needs no parser of .proto files
            answer = self._ask(path, SchemaType.PROTOBUF)
        references = []
        for one in answer.references or ():
            left[0] -= 1
            if left[0] < 0:
                raise Rejected(Reason.TOO_LARGE, f"a schema with more than {MOST_REFERENCES} references")
            way = f"/subjects/{quote(one.subject, safe='')}/versions/{one.version}"
            references.append((one.name, self._resolve(way, left, SchemaType(told))))
        return Schema(SchemaType(told), answer.schema, tuple(references))

    def _ask(self, path: str, kind: SchemaType) -> _Answer:
        params = {"deleted": "true"} if path.startswith("/subjects/") else {}  # what is soft-deleted still tells what was written
        if kind is SchemaType.PROTOBUF:
            params["format"] = "serialized"
        status, body = self._get(path, params)
        if status == 200:
            try:
                return _ANSWER.decode(body)
            except DECODE_ERRORS as error:
                raise _Wrong(f"{self.address}{path} answered what is no schema: {error}") from None
        try:
            code = _ERROR.decode(body).error_code
        except DECODE_ERRORS:
            code = 0
        if status == 404 and code in _NOT_FOUND:
            raise Rejected(Reason.MISSING_FIELD, f"the schema registry knows no {path} (error {code})")
        if status == _NO_SUCH_FORMAT and "format" in params:
            raise Rejected(Reason.WRONG_TYPE, "the schema registry gives no Protobuf schema as descriptor (?format=serialized)")
        raise _Wrong(f"{self.address}{path} answered {status}")

    def _get(self, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        """Bound the whole answer, in bytes and time: a time-out of httpx2 is one for each read.

        No whole answer in time means that the registry is away; any answer, be it an error, that it is there.
        """
        until = time.monotonic() + self._timeout_s
        body = bytearray()
        try:
            with self._client.stream("GET", self.address + path, params=params) as answer:
                for part in answer.iter_bytes():
                    body += part
                    if time.monotonic() > until:
                        raise self._away(path, "answers without end")
                    if len(body) > MAX_ANSWER_BYTES:
                        raise _Wrong(f"{self.address}{path} answers more than {MAX_ANSWER_BYTES} bytes")
                return answer.status_code, bytes(body)
        except (httpx2.TransportError, OSError) as error:
            raise self._away(path, type(error).__name__) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Retryable(f"{self.address}{path}: {type(error).__name__}") from None

    def _away(self, path: str, why: str) -> Retryable:
        self._away_until = self._clock() + AWAY_S
        return Retryable(f"{self.address}{path}: {why}")
