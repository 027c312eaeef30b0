"""tell's deliveries: every notice once to each receiver, over repeats and restarts."""

import json

import pytest

from agents.tell import effector
from schemas.base import derive_id
from schemas.outcomes import Delivery, Notice
from streams.harness.errors import Retryable
from tests.unit.tell_world import URL, Hook, Log, build, notice, notices_of, perform_all


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


async def test_an_append_that_fails_leaves_the_notice_open():
    told, log, _ = build(Hook(200))
    log.put(notice())

    async def fail(outputs):
        raise Retryable("no leader")

    with pytest.raises(Retryable):
        await told.perform(told.pending()[0], fail)
    assert notices_of(told.pending()) == {"ntc-1"}
    assert len(told.pending()) == 2
