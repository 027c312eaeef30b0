"""What the bands do not see (docs/detection.md): pinned, so that the docs are true until a slow anchor changes it."""

from __future__ import annotations

import numpy as np

from schemas.kinds import Direction, Kind
from schemas.signals import Phase
from tests.unit.detect_feed import anomalies, each_second, phases, series

LATENCY = series("cart", Kind.LATENCY, unit="seconds")
ERRORS = series("cart", Kind.ERRORS, metric="error_share", unit="ratio")
MEMORY = series("cart", Kind.MEMORY, metric="resident", unit="bytes", direction=Direction.UP)
ORDINARY_S, MB = 600, 1e6


def noise(count: int) -> list[float]:
    return (1 + 0.01 * np.random.default_rng(1).standard_normal(count)).tolist()


def test_what_doubles_every_five_minutes_takes_its_band_with_it_and_what_doubles_every_minute_does_not() -> None:
    def growing(doubling_s: float) -> list[Phase]:
        own = noise(ORDINARY_S + 1200)
        log = each_second(len(own), lambda i: [(LATENCY, 0.1 * own[i] * 2 ** (max(0, i - ORDINARY_S) / doubling_s))], LATENCY)
        return [one.phase for one in phases(log, Phase.OPENED)]

    assert growing(300) == []
    assert growing(60) == [Phase.OPENED]


def test_errors_that_come_within_an_hour_open_nothing() -> None:
    own = noise(ORDINARY_S + 3600)
    log = each_second(len(own), lambda i: [(ERRORS, 0.002 * own[i] + max(0, i - ORDINARY_S) / 3600 * 0.5)], ERRORS)
    assert anomalies(log) == []


def test_after_some_minutes_on_the_good_side_what_was_usual_is_out_of_the_ordinary() -> None:
    def dip(seconds: int) -> list[Phase]:
        own = noise(ORDINARY_S + seconds + 1200)
        inside = range(ORDINARY_S, ORDINARY_S + seconds)
        log = each_second(len(own), lambda i: [(MEMORY, (300 if i in inside else 800) * MB * own[i])], MEMORY)
        return [one.phase for one in anomalies(log) if one.phase is not Phase.CONTINUED]

    assert dip(60) == []
    assert dip(300) == [Phase.OPENED]
