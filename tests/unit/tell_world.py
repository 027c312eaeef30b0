"""Everything round tell without a network: the notices log, the other end of a webhook, a clock, and what runs it."""

import asyncio
import random

import httpx2

from agents.tell import TellEffector, Terminal, Webhook
from schemas import topics
from schemas.base import Position
from schemas.kinds import Severity
from schemas.outcomes import Delivery, Notice, NoticeKind
from streams.harness.emit import emit
from streams.harness.pending import Desk
from streams.harness.stage import Record

URL = "https://hooks.example/services/T0/SECRET"


def notice(number=1):
    return Notice(
        id=f"ntc-{number}",
        kind=NoticeKind.APPROVAL_NEEDED,
        incident="inc-1",
        severity=Severity.CRITICAL,
        title="inventory leaks memory",
        text="restart inventory? 81 %",
        at=1000,
    )


class Log:
    """The notices log: what is appended is folded."""

    def __init__(self, told):
        self.told = told
        self.records = []
        self.fold_now = True

    def put(self, model):
        output = emit(topics.NOTICES, "inc-1", model)
        record = Record(output.topic, 0, len(self.records), 1000, output.key, output.value, output.headers)
        self.records.append(record)
        if self.fold_now:
            self.told.fold(record)
        return Position(topic=output.topic, partition=0, offset=record.offset)

    async def append(self, outputs):
        return [self.put(Delivery.model_validate_json(output.value)) for output in outputs]

    @property
    def deliveries(self):
        return [Delivery.model_validate_json(record.value) for record in self.records if ("airra.type", b"delivery") in record.headers]


class Hook:
    """The other end of a webhook: answers what it is told, remembers what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            await asyncio.Event().wait()
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return httpx2.Response(status, headers=headers)


class Clock:
    def __init__(self):
        self.pauses = []

    async def sleep(self, seconds):
        self.pauses.append(seconds)


def build(hook, clock=None, timeout_s=1.0):
    lines = []
    clock = clock or Clock()
    webhook = Webhook(URL, timeout_s, clock.sleep, httpx2.MockTransport(hook))
    told = TellEffector([Terminal(lines.append), webhook], lambda: 2000)
    return told, Log(told), lines


async def perform_all(told, log):
    while intents := told.pending():
        for intent in intents:
            await told.perform(intent, log.append)


def notices_of(intents):
    return {intent.value.notice.id for intent in intents}


async def run(told, log, until, *, lag=0):
    """What EffectorRunner does, through the real Desk: begin what is due, side by side; `lag` turns pass before a result is folded."""
    desk, running = Desk(told.concurrency, random.Random(1)), set()
    log.fold_now, seen, turn = lag == 0, len(log.records), 0

    async def perform(intent):
        await told.perform(intent, log.append)
        desk.performed(intent.id)

    async with asyncio.timeout(10):
        while not until():
            turn += 1
            if lag and turn % lag == 0:
                for record in log.records[seen:]:
                    told.fold(record)
                seen = len(log.records)
            for intent in desk.due(told.pending(), 0.0):
                running.add(asyncio.create_task(perform(intent)))
            await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
