"""tell: every notice once to each receiver; a dead one holds up nobody."""

import asyncio
import json
import random

import httpx2
import pytest

from agents import tell
from agents.tell import AT_ONCE, ATTEMPTS, DEAD_AFTER, EVICTED, LONGEST_PAUSE_S, TellEffector, Terminal, Webhook, effector
from schemas import topics
from schemas.base import Position, derive_id
from schemas.kinds import Severity
from schemas.outcomes import Delivery, Notice, NoticeKind
from streams.harness.emit import emit
from streams.harness.errors import Poison, Retryable
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


async def test_a_notice_reaches_the_terminal_and_the_webhook_once():
    hook = Hook(200)
    told, log, lines = build(hook)
    log.put(notice())
    assert [intent.id for intent in told.pending()] == [derive_id("dlv", "ntc-1", name) for name in ("terminal", "webhook")]
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


@pytest.mark.parametrize("lag", [0, 1, 7])
async def test_a_dead_webhook_holds_the_terminal_back_by_nothing(lag):
    many = 30
    told, log, lines = build(Hook("hang"), timeout_s=3600)
    for number in range(many):
        log.put(notice(number))
    assert many > told.concurrency
    await run(told, log, lambda: len(lines) == many, lag=lag)
    assert [line.id for line in lines] == [f"ntc-{number}" for number in range(many)], "oldest first"
    assert [one.receiver for one in log.deliveries] == ["terminal"] * many, "told before any webhook gave up"


async def test_a_receiver_gets_so_many_at_once_and_oldest_first():
    hook = Hook("hang")
    told, log, lines = build(hook, timeout_s=3600)
    for number in range(30):
        log.put(notice(number))
    await run(told, log, lambda: len(lines) == 30 and len(hook.requests) >= AT_ONCE)
    assert [request.headers["idempotency-key"] for request in hook.requests] == [f"ntc-{number}" for number in range(AT_ONCE)]


async def test_what_is_appended_and_not_yet_folded_takes_no_place_and_is_still_pending():
    """The log may be read late: until then nothing above the notice is committed, and the next ones are told all the same."""
    told, log, lines = build(Hook("hang"), timeout_s=3600)
    for number in range(30):
        log.put(notice(number))
    await run(told, log, lambda: len(lines) == 30, lag=1_000_000)
    assert min(intent.offset for intent in told.pending()) == 0
    for record in log.records[30:]:
        told.fold(record)
    assert {intent.value.receiver for intent in told.pending()} == {"webhook"}


async def test_the_webhook_is_told_everything_however_slowly_the_log_is_read():
    hook = Hook(200)
    told, log, lines = build(hook)
    for number in range(30):
        log.put(notice(number))
    await run(told, log, lambda: told.pending() == [], lag=5)
    assert (len(lines), len(hook.requests), len(log.deliveries)) == (30, 30, 60)
    assert len({one.id for one in log.deliveries}) == 60


def test_what_is_kept_is_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(tell, "OPEN_KEPT", 5)
    monkeypatch.setattr(tell, "CLOSED_KEPT", 2)
    before = {table: EVICTED.labels(table)._value.get() for table in ("open", "closed")}
    told, log, _ = build(Hook(200))
    for number in range(7):
        log.put(notice(number))
    assert notices_of(told.pending()) <= {f"ntc-{number}" for number in range(2, 7)}
    for number in range(7):
        for name in ("terminal", "webhook"):
            log.put(Delivery(id=f"dlv-{number}{name}", notice=f"ntc-{number}", receiver=name, status="failed", attempts=1, at=1500))
    assert told.pending() == []
    after = {table: EVICTED.labels(table)._value.get() - count for table, count in before.items()}
    assert after == {"open": 2, "closed": 3}
    assert tell.OPEN._value.get() == 0


async def test_a_notice_that_is_dropped_while_it_is_told_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(tell, "OPEN_KEPT", 1)
    told, log, _ = build(Hook(200))
    log.put(notice(1))
    first = told.pending()[0]
    log.put(notice(2))
    await told.perform(first, log.append)
    assert notices_of(told.pending()) == {"ntc-2"}


async def test_an_append_that_fails_leaves_the_notice_open():
    told, log, _ = build(Hook(200))
    log.put(notice())

    async def fail(outputs):
        raise Retryable("no leader")

    with pytest.raises(Retryable):
        await told.perform(told.pending()[0], fail)
    assert notices_of(told.pending()) == {"ntc-1"}
    assert len(told.pending()) == 2


def test_the_earliest_open_notice_is_known_by_its_offset_in_any_order_of_results():
    told, log, _ = build(Hook(200))
    offsets = [log.put(notice(number)).offset for number in range(9)]
    results = [(number, name) for number in range(9) for name in ("terminal", "webhook")]
    random.Random(7).shuffle(results)
    for index, (number, name) in enumerate(results):
        log.put(Delivery(id=f"dlv-{index}", notice=f"ntc-{number}", receiver=name, status="delivered", attempts=1, at=1500))
        open_ones = [one for one in range(9) if {(one, "terminal"), (one, "webhook")} - set(results[: index + 1])]
        found = [intent.offset for intent in told.pending()]
        assert found == sorted(found)
        assert found[:1] == [offsets[one] for one in open_ones[:1]]


def test_what_is_no_notice_is_poison():
    told, _, _ = build(Hook(200))
    with pytest.raises(Poison):
        told.fold(Record(topics.NOTICES.name, 0, 0, 0, None, b'{"type":"notice"}'))
    assert told.pending() == []
