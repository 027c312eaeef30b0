"""What tell keeps of the notices log: bounded and counted, the earliest open one known, and no poison in it."""

import random

import pytest

from agents import tell
from agents.tell import EVICTED
from schemas import topics
from schemas.outcomes import Delivery
from streams.harness.errors import Poison
from streams.harness.stage import Record
from tests.unit.tell_world import Hook, build, notice, notices_of


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
