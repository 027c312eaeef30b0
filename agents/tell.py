"""Tell people: every notice once to each receiver; one that is dead holds up no other and never the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import httpx2
import structlog
from prometheus_client import Counter, Gauge, Histogram

from schemas import topics
from schemas.base import canonical, derive_id
from schemas.outcomes import NOTICE_EVENTS, Delivery, Notice
from streams.harness.emit import emit, parse
from streams.harness.stage import Append, Intent, Record

log = structlog.get_logger()

ATTEMPTS = 4  # with the pauses below some 4 s beside the posts: who is told later than that is told by another receiver
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0  # also for a Retry-After
DEAD_AFTER = 3  # failed deliveries in a row: from then on one attempt each, until one arrives
AT_ONCE = 4  # notices on their way to one receiver
OPEN_KEPT = 10_000
CLOSED_KEPT = 10_000

DELIVERIES = Counter("airra_tell_deliveries_total", "notices delivered, or given up", ["receiver", "status"])
SECONDS = Histogram("airra_tell_delivery_seconds", "from the first attempt to the last", ["receiver"])
OPEN = Gauge("airra_tell_open_notices", "notices that some receiver has not been told yet")
EVICTED = Counter("airra_tell_evictions_total", "notices forgotten for want of room: open ones stay untold", ["table"])

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling one receiver."""

    status: str  # delivered, failed
    attempts: int
    detail: str = ""


class Receiver(Protocol):
    name: str

    async def tell(self, notice: Notice) -> Told:
        """Deliver within a bounded time; never raise."""


class Terminal:
    """One line a notice, through whatever prints here."""

    name = "terminal"

    def __init__(self, line: Callable[[Notice], None]) -> None:
        self._line = line

    async def tell(self, notice: Notice) -> Told:
        self._line(notice)
        return Told("delivered", 1)


class Webhook:
    """POST the notice as JSON, with its id as idempotency key. The address may hold a secret: it is never logged."""

    name = "webhook"

    def __init__(
        self, url: str, timeout_s: float, sleep: Sleep = asyncio.sleep, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._transport = transport
        self._failed_in_a_row = 0

    async def tell(self, notice: Notice) -> Told:
        attempts = ATTEMPTS if self._failed_in_a_row < DEAD_AFTER else 1
        told = Told("failed", 0)
        async with httpx2.AsyncClient(timeout=self._timeout_s, transport=self._transport, follow_redirects=False) as client:
            for attempt in range(1, attempts + 1):
                detail, later_s = await self._post(client, notice)
                told = Told("failed" if detail else "delivered", attempt, detail)
                if not detail or later_s is None:
                    break
                if attempt < attempts:
                    await self._sleep(min(LONGEST_PAUSE_S, max(later_s, FIRST_PAUSE_S * 2.0 ** (attempt - 1))))
        self._failed_in_a_row = 0 if told.status == "delivered" else self._failed_in_a_row + 1
        return told

    async def _post(self, client: httpx2.AsyncClient, notice: Notice) -> tuple[str, float | None]:
        """Return what went wrong ("" for nothing), and the least pause before another attempt (None: it is of no use)."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.id}
        try:
            # The whole post is bounded: a time-out of httpx2 is one for each read, and slow bytes would pass it for ever.
            async with (
                asyncio.timeout(self._timeout_s),
                client.stream("POST", self._url, content=canonical(notice), headers=headers) as answer,
            ):
                if answer.is_success:
                    return "", None
                useful = answer.status_code in (408, 425, 429) or answer.status_code >= 500
                return f"HTTP {answer.status_code}", _retry_after(answer.headers.get("retry-after", "")) if useful else None
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            return type(error).__name__, None
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            return type(error).__name__, 0.0


def _retry_after(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """One notice for one receiver."""

    id: str  # the delivery's id
    notice: Notice
    receiver: str
    offset: int  # of the notice


class TellEffector:
    """Reads notices and deliveries; a notice for a receiver is an intent until there is a delivery, delivered or given up.

    Receivers do not hold one another up: each has its own notices, oldest first, and its own `AT_ONCE` places.
    """

    name = "tell"
    topic = topics.NOTICES.name
    armed_start = False

    def __init__(self, receivers: Sequence[Receiver], clock: Callable[[], int]) -> None:
        self._receivers = {receiver.name: receiver for receiver in receivers}
        self.concurrency = AT_ONCE * len(self._receivers)
        self._clock = clock
        self._open: dict[str, dict[str, Task]] = {}  # by notice and receiver, in log order
        self._untold: dict[str, dict[str, Task]] = {name: {} for name in self._receivers}  # the same by receiver and notice
        self._appended: dict[str, Task] = {}  # told and on the log, but not folded yet: they take no place
        self._closed: dict[str, None] = {}  # a notice that a crash repeats is not told again

    def fold(self, record: Record) -> None:
        event = parse(NOTICE_EVENTS, record)
        if isinstance(event, Notice):
            self._take(event, record.offset)
        else:
            self._close(event)
        OPEN.set(len(self._open))

    def _take(self, notice: Notice, offset: int) -> None:
        if notice.id in self._open or notice.id in self._closed:
            return
        self._open[notice.id] = {name: Task(derive_id("dlv", notice.id, name), notice, name, offset) for name in self._receivers}
        for name, task in self._open[notice.id].items():
            self._untold[name][notice.id] = task
        if len(self._open) > OPEN_KEPT:
            self._drop(next(iter(self._open)))

    def _close(self, delivery: Delivery) -> None:
        waiting = self._open.get(delivery.notice, {})
        if (task := waiting.pop(delivery.receiver, None)) is None:
            return
        self._forget(task)
        if not waiting:
            del self._open[delivery.notice]
            self._closed[delivery.notice] = None
            if len(self._closed) > CLOSED_KEPT:
                del self._closed[next(iter(self._closed))]
                EVICTED.labels("closed").inc()

    def _drop(self, notice: str) -> None:
        for task in self._open.pop(notice).values():
            self._forget(task)
        EVICTED.labels("open").inc()
        log.error("notice_dropped", notice=notice, reason="too many are open")

    def _forget(self, task: Task) -> None:
        self._untold[task.receiver].pop(task.notice.id, None)
        self._appended.pop(task.id, None)

    def pending(self) -> Sequence[Intent]:
        """Return what each receiver is to be told next: its oldest notices, and as many as it has places.

        The earliest unfinished notice is the oldest of some receiver, so it is always among them.
        """
        first = [task for untold in self._untold.values() for task in islice(untold.values(), AT_ONCE)]
        return [Intent(task.id, task.offset, task) for task in sorted([*first, *self._appended.values()], key=lambda task: task.offset)]

    async def begin(self, append: Append) -> None:
        """Nothing is written first: telling twice is better than not at all."""

    async def end(self) -> None:
        """Nothing was opened."""

    async def perform(self, intent: Intent, append: Append) -> None:
        """Tell one receiver of one notice."""
        task = intent.value
        assert isinstance(task, Task)  # noqa: S101 - `pending` makes the intents
        await self._deliver(self._receivers[task.receiver], task.notice, append)
        if self._untold[task.receiver].pop(task.notice.id, None) is not None:  # not dropped and not folded meanwhile
            self._appended[task.id] = task

    async def _deliver(self, receiver: Receiver, notice: Notice, append: Append) -> None:
        began = time.perf_counter()
        told = await receiver.tell(notice)
        SECONDS.labels(receiver.name).observe(time.perf_counter() - began)
        DELIVERIES.labels(receiver.name, told.status).inc()
        if told.status == "failed":
            log.error("notice_not_delivered", receiver=receiver.name, notice=notice.id, incident=notice.incident, detail=told.detail)
        delivery = Delivery(
            id=derive_id("dlv", notice.id, receiver.name),
            notice=notice.id,
            receiver=receiver.name,
            status="delivered" if told.status == "delivered" else "failed",
            attempts=told.attempts,
            detail=told.detail,
            at=self._clock(),
        )
        await append([emit(topics.NOTICES, notice.incident, delivery)])


def _line(notice: Notice) -> None:
    """Write a notice as a structured event, for whoever watches the terminal."""
    log.warning(
        "notice", kind=notice.kind.value, incident=notice.incident, severity=notice.severity.value, title=notice.title, text=notice.text
    )


def _now() -> int:
    return int(time.time() * 1000)


def effector(
    webhook_url: str,
    webhook_timeout_s: float,
    line: Callable[[Notice], None] = _line,
    clock: Callable[[], int] = _now,
) -> TellEffector:
    """Return the effector with its receivers: the terminal, and a webhook where there is an address."""
    receivers: list[Receiver] = [Terminal(line)]
    if webhook_url:
        receivers.append(Webhook(webhook_url, webhook_timeout_s))
    return TellEffector(receivers, clock)
