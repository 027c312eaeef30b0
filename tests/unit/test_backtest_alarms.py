"""What people would be told, against what is labelled."""

from __future__ import annotations

import numpy as np
import pytest

from cli.backtest.alarms import Alarms, alarms
from cli.backtest.nab import truth
from models.surprise.past import AGAIN, DRIFTS, MISSING, NEW_NORMAL, NOTHING, OPENED, RECOVERED

MINUTE_MS = 60_000
ROWS = 200  # of them the benchmark scores those from the thirtieth on


def counted(windows: list[tuple[int, int]], events: dict[int, int]) -> Alarms:
    at = np.arange(ROWS, dtype=np.int64) * MINUTE_MS
    event = np.full(ROWS, NOTHING)
    for row, what in events.items():
        event[row] = what
    return alarms([(truth(at, [(first * MINUTE_MS, last * MINUTE_MS) for first, last in windows]), at, event)])


def test_an_alarm_is_right_within_a_window_and_a_window_is_found_by_its_first() -> None:
    found = counted([(50, 80), (120, 140)], {60: OPENED, 70: AGAIN, 100: MISSING, 160: DRIFTS})
    assert found.as_told() == {
        "alarms": 4,
        "in a window": 2,
        "precision": 0.5,
        "windows": 2,
        "found": 1,
        "recall": 0.5,
        "median delay, min": 10.0,
    }


@pytest.mark.parametrize("event", [RECOVERED, NEW_NORMAL])
def test_the_end_of_an_alarm_finds_nothing_and_is_no_false_alarm(event: int) -> None:
    found = counted([(50, 80)], {60: event, 100: event})
    assert (found.told, found.delays_ms, found.as_told()["precision"]) == (0, [], None)


def test_what_is_not_scored_counts_nowhere() -> None:
    found = counted([(5, 10), (50, 80)], {7: OPENED, 20: OPENED})
    assert (found.told, found.windows, found.delays_ms) == (0, 1, [])


def test_a_window_that_begins_before_what_is_scored_is_late_from_its_beginning() -> None:
    assert counted([(20, 40)], {35: OPENED}).delays_ms == [15 * MINUTE_MS]
