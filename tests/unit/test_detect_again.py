"""A restart of detect in the midst of something changes nothing of what it says: what one window leaves is in the snapshot, or nowhere."""

from __future__ import annotations

import pytest

from models.detection.newest import values_of
from models.detection.state import DetectState
from schemas.kinds import Kind
from schemas.signals import Anomaly, Health
from streams.detect import stage
from tests.unit.detect_cart import ERRORS, REQUESTS
from tests.unit.detect_feed import CONFIG, T0, Log, histogram, read


def folded(log: Log, cut: int | None) -> tuple[DetectState, list[Anomaly | Health]]:
    """Fold a log, with a restart before one of its records."""
    one = stage(CONFIG)
    state, found = one.restore(None), []
    for number, record in enumerate(log.records):
        if number == cut:
            state = one.restore(one.snapshot(state))
        found += read(one.apply(state, record, record.timestamp))
    return state, found


def rates(state: DetectState) -> list[float]:
    (slot,) = [slot for slot, meta in state.registry.metas.items() if meta.metric.endswith(":rate")]
    found: list[float] = values_of(state.registry.slots)[slot].tolist()
    return found[-5:]


@pytest.mark.parametrize("cut", [None, 44])
def test_a_bucket_that_fell_in_a_window_of_its_own_says_nothing_of_the_next_window(cut: int | None) -> None:
    """Given one bucket of a scrape whose rest came elsewhere, when the next scrapes come, then each counts what was counted in it."""
    buckets = histogram("cart", [0.1, 0.5, None])
    log = Log().define(*buckets)

    def scrape(second: int, *values: float) -> None:
        log.rows([(bucket, T0 + 1000 * second + 300, value) for bucket, value in zip(buckets, values, strict=False)])

    for second in range(40):
        scrape(second, 900.0 * second, 950.0 * second, 1000.0 * second)
    scrape(40, 35_000.0)
    for second in range(41, 47):
        scrape(second, 900.0 * second, 950.0 * second, 1000.0 * second)
    assert rates(folded(log, cut)[0]) == [1000.0] * 5


def test_an_error_rate_that_a_ratio_takes_the_place_of_is_watched_no_longer_with_and_without_a_restart() -> None:
    """Given errors out of their band, when requests are counted for the first time, then health is told as often as after a restart."""
    log, errors = Log().define(ERRORS), 0.0
    for second in range(100):
        if second == 72:
            log.define(REQUESTS)
        errors += 61.0 if second >= 60 else 1.0
        requests = [(REQUESTS, T0 + 1000 * second + 300, 5.0 * second)] if second >= 72 else []
        log.rows([(ERRORS, T0 + 1000 * second + 300, errors), *requests])
    straight, cut = (folded(log, number)[1] for number in (None, 80))
    assert [one.id for one in straight] == [one.id for one in cut]
    assert any(isinstance(one, Anomaly) and one.evidence.kind is Kind.ERRORS for one in straight)
