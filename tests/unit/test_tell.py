"""tell: every notice once to each receiver; a dead one holds up nobody."""

import asyncio
import json
import random

import httpx2
import pytest

from agents.tell import ATTEMPTS, DEAD_AFTER, LONGEST_PAUSE_S, TellEffector, Terminal, Webhook, effector
from schemas import topics
from schemas.base import Position, derive_id
from schemas.kinds import Severity
from schemas.outcomes import Delivery, Notice, NoticeKind
from streams.harness.emit import emit
from streams.harness.errors import Poison, Retryable
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

    def put(self, model):
        output = emit(topics.NOTICES, "inc-1", model)
        record = Record(output.topic, 0, len(self.records), 1000, output.key, output.value, output.headers)
        self.records.append(record)
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
    for intent in told.pending():
        await told.perform(intent, log.append)


async def test_a_notice_reaches_the_terminal_and_the_webhook_once():
    hook = Hook(200)
    told, log, lines = build(hook)
    log.put(notice())
    assert [intent.id for intent in told.pending()] == ["ntc-1"]
    await perform_all(told, log)
    assert lines == [notice()]
    request = hook.requests[0]
    assert (request.method, str(request.url), request.headers["idempotency-key"]) == ("POST", URL, "ntc-1")
    assert Notice.model_validate(json.loads(request.content)) == notice()
    assert {(one.receiver, one.status, one.attempts) for one in log.deliveries} == {
        ("terminal", "delivered", 1),
        ("webhook", "delivered", 1),
    }
    assert {one.id for one in log.deliveries} == {derive_id("dlv", "ntc-1", name) for name in ("terminal", "webhook")}
    assert told.pending() == []


async def test_a_notice_that_a_crash_repeats_is_not_told_again():
    hook = Hook(200)
    told, log, lines = build(hook)
    log.put(notice())
    log.put(notice())
    await perform_all(told, log)
    log.put(notice())
    await perform_all(told, log)
    assert (len(lines), len(hook.requests)) == (1, 1)


async def test_without_an_address_the_terminal_is_all():
    lines = []
    told = effector("", 1.0, lines.append, lambda: 2000)
    log = Log(told)
    log.put(notice())
    await perform_all(told, log)
    assert (lines, [one.receiver for one in log.deliveries], told.pending()) == ([notice()], ["terminal"], [])


async def test_after_a_restart_only_who_was_not_told_is_told():
    hook = Hook(200)
    told, log, lines = build(hook)
    log.put(notice())
    log.put(Delivery(id="dlv-1", notice="ntc-1", receiver="terminal", status="delivered", attempts=1, at=1500))
    await perform_all(told, log)
    assert (len(lines), len(hook.requests)) == (0, 1)
    assert told.pending() == []


async def test_a_passing_trouble_is_tried_again_with_growing_pauses():
    clock = Clock()
    hook = Hook(503, httpx2.ConnectError("no route"), 200)
    told, log, _ = build(hook, clock)
    log.put(notice())
    await perform_all(told, log)
    assert [(one.status, one.attempts) for one in log.deliveries if one.receiver == "webhook"] == [("delivered", 3)]
    assert clock.pauses == [0.5, 1.0]
    assert len({request.headers["idempotency-key"] for request in hook.requests}) == 1


@pytest.mark.parametrize(("header", "pause"), [("2", 2.0), ("86400", LONGEST_PAUSE_S), ("soon", 0.5), ("-1", 0.5)])
async def test_a_receiver_that_asks_for_a_pause_gets_a_bounded_one(header, pause):
    clock = Clock()
    told, log, _ = build(Hook((429, {"retry-after": header}), 200), clock)
    log.put(notice())
    await perform_all(told, log)
    assert clock.pauses == [pause]


@pytest.mark.parametrize("answer", [503, httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), "hang"])
async def test_a_dead_receiver_ends_as_a_failed_delivery_and_the_log_goes_on(answer):
    told, log, lines = build(Hook(answer), timeout_s=0.02)
    log.put(notice())
    await perform_all(told, log)
    failed = next(one for one in log.deliveries if one.receiver == "webhook")
    assert (failed.status, failed.attempts) == ("failed", ATTEMPTS)
    assert failed.detail
    assert "SECRET" not in failed.detail
    assert lines == [notice()], "the terminal is told all the same"
    assert told.pending() == []


@pytest.mark.parametrize("status", [400, 401, 404, 301])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(status):
    clock = Clock()
    hook = Hook((status, {"location": "https://elsewhere.example/"}))
    told, log, _ = build(hook, clock)
    log.put(notice())
    await perform_all(told, log)
    assert (len(hook.requests), clock.pauses) == (1, [])
    assert [(one.status, one.detail) for one in log.deliveries if one.receiver == "webhook"] == [("failed", f"HTTP {status}")]


@pytest.mark.parametrize("url", ["hooks.example", "ftp://hooks.example/x", "http://[broken"])
async def test_an_address_that_is_none_fails_without_stopping_anything(url):
    told = effector(url, 0.5, lambda notice: None, lambda: 2000)
    log = Log(told)
    log.put(notice())
    await perform_all(told, log)
    assert [one.status for one in log.deliveries if one.receiver == "webhook"] == ["failed"]


async def test_a_receiver_known_to_be_dead_gets_one_attempt_until_it_answers():
    hook = Hook(503)
    told, log, _ = build(hook)
    for number in range(DEAD_AFTER + 2):
        log.put(notice(number))
    await perform_all(told, log)
    assert [one.attempts for one in log.deliveries if one.receiver == "webhook"] == [ATTEMPTS] * DEAD_AFTER + [1, 1]
    hook.answers = [200]
    log.put(notice(50))
    await perform_all(told, log)
    hook.answers = [503]
    log.put(notice(51))
    await perform_all(told, log)
    assert [one.attempts for one in log.deliveries if one.receiver == "webhook"][-2:] == [1, ATTEMPTS]


async def test_a_slow_webhook_holds_back_neither_the_terminal_nor_other_notices():
    told, log, lines = build(Hook("hang"), timeout_s=0.05)
    for number in range(4):
        log.put(notice(number))
    tasks = [asyncio.create_task(told.perform(intent, log.append)) for intent in told.pending()]
    async with asyncio.timeout(2):
        while len(lines) < 4:
            await asyncio.sleep(0)
    assert [one.receiver for one in log.deliveries] == ["terminal"] * 4, "told before any webhook gave up"
    await asyncio.gather(*tasks)


async def test_an_append_that_fails_leaves_the_notice_open():
    told, log, _ = build(Hook(200))
    log.put(notice())

    async def fail(outputs):
        raise Retryable("no leader")

    with pytest.raises(Retryable):
        await told.perform(told.pending()[0], fail)
    assert [intent.id for intent in told.pending()] == ["ntc-1"]


def test_the_earliest_open_notice_is_known_by_its_offset_in_any_order_of_results():
    told, log, _ = build(Hook(200))
    offsets = [log.put(notice(number)).offset for number in range(5)]
    results = [(number, name) for number in range(5) for name in ("terminal", "webhook")]
    random.Random(7).shuffle(results)
    for index, (number, name) in enumerate(results):
        log.put(Delivery(id=f"dlv-{index}", notice=f"ntc-{number}", receiver=name, status="delivered", attempts=1, at=1500))
        open_ones = [one for one in range(5) if {(one, "terminal"), (one, "webhook")} - set(results[: index + 1])]
        assert [intent.offset for intent in told.pending()] == [offsets[one] for one in open_ones]


def test_what_is_no_notice_is_poison():
    told, _, _ = build(Hook(200))
    with pytest.raises(Poison):
        told.fold(Record(topics.NOTICES.name, 0, 0, 0, None, b'{"type":"notice"}'))
    assert told.pending() == []
