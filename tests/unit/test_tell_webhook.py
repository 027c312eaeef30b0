"""tell and a webhook in trouble: so many attempts, bounded pauses, and a failed delivery in the end."""

import httpx2
import pytest

from agents.tell import ATTEMPTS, DEAD_AFTER, LONGEST_PAUSE_S, effector
from tests.unit.tell_world import Clock, Hook, Log, build, notice, perform_all


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
