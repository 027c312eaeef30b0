"""When the watchdog gives a stage up, and when it waits."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from streams.harness import watchdog
from streams.harness.exits import EXIT_STUCK
from streams.harness.standby import UNASSIGNED_S, Unassigned
from streams.harness.watchdog import OPENING_S, STALLED_S, Look, Watch
from tests.unit.harness_parts import Ended, end_as_exception


def look(at_s: float, assigned: set[int], following: Mapping[int, int], ends: Mapping[int, int] | None) -> Look:
    return Look(at_s, frozenset(assigned), following, ends)


def test_lag_without_progress_is_given_up() -> None:
    watch = Watch()
    assert watch.stalled(look(0, {0}, {0: 5}, {0: 9})) is None
    assert watch.stalled(look(STALLED_S - 1, {0}, {0: 5}, {0: 90})) is None
    assert watch.stalled(look(STALLED_S, {0}, {0: 5}, {0: 90})) == (0, 5)


def test_progress_however_slow_is_waited_for() -> None:
    watch = Watch()
    for second in range(0, 500, 10):
        assert watch.stalled(look(second, {0}, {0: second}, {0: 10_000})) is None


def test_a_quiet_log_is_not_a_stall() -> None:
    watch = Watch()
    for second in range(0, 500, 10):
        assert watch.stalled(look(second, {0}, {0: 7}, {0: 7})) is None


def test_while_the_broker_does_not_answer_no_time_is_counted() -> None:
    watch = Watch()
    assert watch.stalled(look(0, {0}, {0: 5}, {0: 9})) is None
    assert watch.stalled(look(40, {0}, {0: 5}, None)) is None
    assert watch.stalled(look(60, {0}, {0: 5}, {0: 9})) is None
    assert watch.stalled(look(60 + STALLED_S, {0}, {0: 5}, {0: 9})) == (0, 5)


def test_a_recovery_without_end_is_given_up() -> None:
    watch = Watch()
    assert watch.stuck(look(0, {0, 1}, {0: 5}, None)) is None
    assert "[1] are assigned and not opened" in (watch.stuck(look(OPENING_S, {0, 1}, {0: 5}, None)) or "")


def test_without_partitions_the_group_is_given_up_only_after_a_while() -> None:
    unassigned = Unassigned()
    assert not unassigned.long(0, assigned=False)
    assert not unassigned.long(UNASSIGNED_S - 1, assigned=False)
    assert unassigned.long(UNASSIGNED_S, assigned=False)
    assert not unassigned.long(UNASSIGNED_S + 1, assigned=True)
    assert not unassigned.long(UNASSIGNED_S + 2, assigned=False)


async def test_a_stage_that_is_stuck_leaves_its_group_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A static member that merely came back would get the same assignment again."""
    end_as_exception(monkeypatch)
    left: list[str] = []

    async def leave_group() -> None:
        left.append("left")

    worker: Any = SimpleNamespace(
        stage=SimpleNamespace(name="detect"),
        app=SimpleNamespace(consumer=SimpleNamespace(leave_group=leave_group, loops=list, recovery=dict)),
    )
    with pytest.raises(Ended) as ended:
        await watchdog._leave(worker, "no partitions")
    assert (ended.value.code, left) == (EXIT_STUCK, ["left"])
