"""tell's receivers side by side: a dead one or a log that is read late holds nobody back."""

import pytest

from agents.tell import AT_ONCE
from tests.unit.tell_world import Hook, build, notice, run


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
