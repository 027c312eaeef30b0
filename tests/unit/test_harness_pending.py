"""Which intents an effector begins now."""

import random

from streams.harness.pending import FIRST_PAUSE_S, LONGEST_PAUSE_S, Desk
from streams.harness.stage import Intent

A, B, C = Intent("a", 1, None), Intent("b", 2, None), Intent("c", 3, None)


def ids(intents: list[Intent]) -> list[str]:
    return [intent.id for intent in intents]


def test_intents_begin_in_log_order_up_to_the_concurrency() -> None:
    desk = Desk(2, random.Random(1))
    assert ids(desk.due([C, A, B], 0.0)) == ["a", "b"]
    assert desk.due([A, B, C], 1.0) == []


def test_a_performed_intent_is_not_begun_again_while_its_result_is_still_on_the_way_to_the_fold() -> None:
    desk = Desk(2, random.Random(1))
    desk.due([A], 0.0)
    desk.performed("a")
    assert ids(desk.due([A, B], 1.0)) == ["b"]


def test_an_intent_that_comes_back_after_its_result_was_folded_begins_again() -> None:
    desk = Desk(1, random.Random(1))
    desk.due([A], 0.0)
    desk.performed("a")
    assert desk.due([], 1.0) == []
    assert ids(desk.due([A], 2.0)) == ["a"]


def test_a_failed_intent_waits_ever_longer_and_blocks_no_other() -> None:
    desk = Desk(1, random.Random(1))
    now, pauses = 0.0, []
    for _ in range(9):
        assert ids(desk.due([A], now)) == ["a"]
        pause = desk.failed("a", now)
        assert ids(desk.due([A, B], now + pause * 0.99)) == ["b"]
        desk.performed("b")
        desk.due([A], now)  # b's result has been folded
        pauses.append(pause)
        now += pause
    assert FIRST_PAUSE_S / 2 <= pauses[0] <= FIRST_PAUSE_S
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in pauses[7:])


def test_a_lost_partition_forgets_everything() -> None:
    desk = Desk(1, random.Random(1))
    desk.due([A], 0.0)
    desk.failed("a", 0.0)
    desk.forget()
    assert ids(desk.due([A], 0.0)) == ["a"]
