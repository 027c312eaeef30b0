"""A replay of dead letters counts as killed half-way only where some of them were in, and not all."""

import signal

import pytest

from tests.faults.poison.half_way import Killed


def test_some_and_not_all_is_half_way() -> None:
    assert Killed(-signal.SIGKILL, 40).missed(111) == []


@pytest.mark.parametrize("brought", [0, 111, 112])
def test_none_or_all_is_not(brought: int) -> None:
    (told,) = Killed(-signal.SIGKILL, brought).missed(111)
    assert told == f"the first replay had brought in {brought} of 111 letters when it was killed: that is not half-way"


def test_one_that_ended_by_itself_was_not_killed() -> None:
    assert Killed(0, 40).missed(111) == ["the first replay ended with 0 before it was killed"]
