"""What poison costs among good records, as the campaign reckons it."""

from __future__ import annotations

import pytest

from tests.faults.reliability.poison import Size, compared

SIZE = Size((990_000, 10_000), (0, 0))


@pytest.mark.parametrize(
    ("poisoned", "failed", "told"),
    [
        # 1 s more for a million records, 10,000 of them letters; with a quarter of a µs for each record the goal is met
        (500_000.0, ("50% slower, at most 20%",), "a dead letter costs 100 µs: one record of 400 may be one"),
        (800_000.0, (), "a dead letter costs 25 µs: one record of 100 may be one"),
        (1_000_000.0, (), "0% slower"),
    ],
)
def test_how_much_slower_and_how_much_poison_the_goal_has_room_for(poisoned: float, failed: tuple[str, ...], told: str) -> None:
    found = compared("pair 1", SIZE, 1_000_000.0, poisoned)
    assert found.failed == failed
    assert found.notes.endswith(told)
