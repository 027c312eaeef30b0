"""Take Prometheus' remote_write, 1.0 and 2.0: checked, put on Kafka as it came, and acknowledged when Kafka has it.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and .../remote_write_spec_2_0/ : 4xx is final and the sender drops the request, 5xx
and 429 are tried again. What is put on the topic is the body of the request; normalise makes series of it. Each record carries the
source that the token proves, so nobody but this door can write to its topic in another's name (Kafka's ACLs keep others out).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import Counter

from api.auth import Gate, bearer, unauthorised
from api.errors import Refusal
from schemas.http import Problem
from schemas.samples import SOURCE_HEADER
from schemas.topics import WRITE
from streams.harness.errors import Fatal, Retryable
from streams.harness.stage import Append, Output
from streams.normalise.fates import Rejected, Rejection
from streams.normalise.formats.choice import FORMAT_HEADER
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2, unpack

PROTOBUF = "application/x-protobuf"
VERSIONS = {"prometheus.WriteRequest": RemoteWrite.name, "io.prometheus.write.v2.Request": RemoteWrite2.name}
MAX_WRITE = WRITE.max_message_bytes - 4096  # of a body; the record's key and headers need some room
WAIT_S = 10.0  # for the acknowledgement
MOST_WAITING = 64  # requests that Kafka has not acknowledged; more are told to come back
RETRY_AFTER_S = 1

MALFORMED = Counter(
    "airra_api_write_malformed_requests_total", "requests of remote_write that could not be read, or were too large", ["source"]
)
SAMPLES = Counter(
    "airra_api_write_samples_total", "samples that came by remote_write, by source and what became of them", ["source", "fate"]
)

if TYPE_CHECKING:
    from streams.normalise.formats.remote_write_count import Written

log = structlog.get_logger()
router = APIRouter()


@dataclass
class Quota:
    """A bucket of samples a source: it fills at `per_second` and holds ten seconds of it. Unbounded where that is 0."""

    per_second: float
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)  # by source: what was left, and when

    def spend(self, source: str, samples: int) -> float:
        """Take so many out; return 0, or after how many seconds they will be there. A full bucket lets pass even more than it holds."""
        if not self.per_second:
            return 0.0
        now, most = self.clock(), 10 * self.per_second
        left, at = self._left.get(source, (most, now))
        left = min(most, left + (now - at) * self.per_second)
        wanted = min(samples, most)
        enough = wanted <= left
        self._left[source] = (left - samples if enough else left, now)
        return 0.0 if enough else (wanted - left) / self.per_second

    def give_back(self, source: str, samples: int) -> None:
        """Put in again what was taken for nothing: the sender has to come with it once more."""
        if source in self._left:
            left, at = self._left[source]
            self._left[source] = (left + samples, at)  # `spend` holds it to what the bucket holds


@dataclass
class Door:
    """Where remote_write comes in."""

    append: Append
    gate: Gate  # of the sources' tokens
    quota: Quota
    waiting: int = 0


@router.post("/api/v1/write", status_code=204)
async def write(request: Request) -> Response:
    """Take one remote_write request (Prometheus: `remote_write: [{url: …, authorization: {credentials: TOKEN}}]`)."""
    door, source = _who(request)
    version = _version(request)
    body = await request.body()
    if len(body) > MAX_WRITE:
        MALFORMED.labels(source).inc()
        raise Refusal(413, "too_large", f"{len(body)} bytes, at most {MAX_WRITE}", "lower max_samples_per_send")
    try:
        written, bad = await asyncio.to_thread(_read, body, version)
    except Rejected as refused:
        MALFORMED.labels(source).inc()
        what_to_do = "send what the specification describes, and name its message in the content-type"
        raise Refusal(400, str(refused.rejection.reason), refused.rejection.detail, what_to_do) from None
    taken = written.samples + written.histograms  # one of these counts as one sample, however many series normalise makes of it
    came = taken + written.refused
    if door.waiting >= MOST_WAITING:  # before the quota, which only what goes to Kafka spends
        return _later(source, "too_many_waiting", came)
    if wait_s := door.quota.spend(source, came):
        return _later(source, "over_quota", came, wait_s)
    await _append(door, source, version, body, came)
    SAMPLES.labels(source, "accepted").inc(taken)
    SAMPLES.labels(source, "refused").inc(written.refused)
    headers = written.headers if version == RemoteWrite2.name else None
    return Response(status_code=204, headers=headers) if bad is None else _partly(written, bad, headers)


def _who(request: Request) -> tuple[Door, str]:
    door: Door | None = request.app.state.deps.door
    if door is None:
        raise Refusal(403, "write_disabled", "no source may write here", "set AIRRA_WRITE_TOKENS=source:token and restart the API")
    token = bearer(request)
    source = door.gate.subject(token) if token else None
    if source is None:
        raise unauthorised("no valid token of a source" if token else "no token")
    return door, source


def _later(source: str, fate: str, samples: int, wait_s: float = 0.0) -> Response:
    SAMPLES.labels(source, fate).inc(samples)
    return Response(status_code=429, headers={"Retry-After": str(max(RETRY_AFTER_S, round(wait_s)))})


def _partly(written: Written, bad: Rejection, headers: dict[str, str] | None) -> Response:
    """Tell of what normalise will refuse; the request is on Kafka, so what else is in it is taken."""
    told = f"samples refused: {written.refused}, taken: {written.samples}; native histograms taken: {written.histograms}"
    problem = Problem(
        error=str(bad.reason), detail=f"{bad.detail} ({told})", what_to_do="correct the series; do not send the request again"
    )
    return JSONResponse(problem.model_dump(mode="json", exclude_none=True), 400, headers=headers)


def _version(request: Request) -> str:
    """Return the format of the body; refuse what is none of the two."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    named = dict(part.strip().partition("=")[::2] for part in parameters.split(";"))
    message = named.get("proto", "prometheus.WriteRequest").strip('"')
    encoding = request.headers.get("content-encoding", "snappy").lower()
    if media.strip().lower() != PROTOBUF or message not in VERSIONS:
        raise Refusal(
            415, "media_type", f"{request.headers.get('content-type', '')[:200]!r}", f"send {PROTOBUF} of {' or '.join(VERSIONS)}"
        )
    if encoding != "snappy":
        raise Refusal(415, "encoding", f"content-encoding {encoding[:64]!r}", "pack the body with snappy, in its block format")
    return VERSIONS[message]


def _read(body: bytes, version: str) -> tuple[Written, Rejection | None]:
    from streams.normalise.formats.remote_write_count import count, count_2  # noqa: PLC0415 - compiles code: only who is written to needs it

    return (count if version == RemoteWrite.name else count_2)(unpack(body))


async def _append(door: Door, source: str, version: str, body: bytes, samples: int) -> None:
    headers = ((SOURCE_HEADER, source.encode()), (FORMAT_HEADER, version.encode()), ("content-encoding", b"snappy"))
    output = Output(WRITE.name, source.encode(), body, headers)  # one source keeps its order
    door.waiting += 1
    try:
        async with asyncio.timeout(WAIT_S):
            await door.append([output])
    except (Retryable, TimeoutError) as error:
        log.warning("write_unacknowledged", source=source, error=str(error))
        _in_vain(door, source, "not_acknowledged", samples)
        raise Refusal(503, "not_acknowledged", "Kafka has not acknowledged it", "send it again: what stands twice counts once") from error
    except Fatal as error:
        log.warning("write_refused", source=source, error=str(error))
        _in_vain(door, source, "refused_by_kafka", samples)
        raise Refusal(500, "refused", "Kafka refuses it", "see the log of the API; `airra topics create` makes missing topics") from error
    finally:
        door.waiting -= 1


def _in_vain(door: Door, source: str, fate: str, samples: int) -> None:
    SAMPLES.labels(source, fate).inc(samples)
    door.quota.give_back(source, samples)
