"""History does not mix with the present: what a backfill says is judged alone, and what it taught is gone when the live stream begins."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import Anomaly, Phase
from streams.detect import stage
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import Record
from tests.unit.detect_feed import CONFIG, T0, Log, fold, outputs, read, series, tolds

OLD = series("old", Kind.MEMORY, unit="bytes")
LIVE = series("shop", Kind.MEMORY, unit="bytes")
DAY_MS = 86_400_000
LEAK_FROM = 100  # seconds


def feed(log: Log, one: SeriesDef, seconds: int, start: int, *, partition: int, leak: bool) -> None:
    for i in range(seconds):
        grown = max(0, i - LEAK_FROM) * 4e6 if leak else 0.0
        log.rows([(one, start + 1000 * i + 300, 60e6 + grown)], partition)


def marked(records: list[Record]) -> list[Record]:
    return [replace(record, headers=(*record.headers, (BACKFILL_HEADER, b"1"))) for record in records]


def yesterday(log: Log, seconds: int = 200) -> Log:
    """Append a leak of a day ago that is still open at its end, marked as history."""
    before = len(log.records)
    feed(log, OLD, seconds, T0 - DAY_MS, partition=0, leak=True)
    log.records[before:] = marked(log.records[before:])
    return log


def anomalies(records: list[Record]) -> list[Anomaly]:
    return [one for one in read(outputs(records)) if isinstance(one, Anomaly)]


def test_history_alone_is_judged() -> None:
    opened = [one for one in anomalies(yesterday(Log().define(OLD)).records) if one.phase is Phase.OPENED]
    assert [(one.evidence.service, one.at < T0) for one in opened] == [("old", True)]


def test_a_source_of_history_that_comes_after_another_is_judged_in_its_own_time() -> None:
    log = Log().define(LIVE, OLD)
    feed(log, LIVE, 200, T0 - DAY_MS, partition=1, leak=False)
    feed(log, OLD, 200, T0 - DAY_MS, partition=0, leak=True)
    log.records[1:] = marked(log.records[1:])
    opened = [one for one in anomalies(log.records) if one.phase is Phase.OPENED]
    alone = [one for one in anomalies(yesterday(Log().define(OLD)).records) if one.phase is Phase.OPENED]
    assert [(one.evidence.service, one.at, one.opened_at) for one in opened] == [("old", one.at, one.opened_at) for one in alone]


def test_a_source_of_history_that_is_read_seldom_is_not_taken_for_silent_for_having_come_after_another() -> None:
    log = Log().define(LIVE, OLD)
    feed(log, LIVE, 300, T0 - DAY_MS, partition=1, leak=False)
    log.rows([(OLD, T0 - DAY_MS + 15_000 * i, 60e6) for i in range(30)], 0)
    feed(log, LIVE, 150, T0 - DAY_MS + 300_000, partition=1, leak=False)
    log.records[1:] = marked(log.records[1:])
    assert anomalies(log.records) == []


def test_what_history_left_open_does_not_go_on_in_the_live_stream() -> None:
    log = yesterday(Log().define(OLD, LIVE))
    history = len(outputs(log.records))
    feed(log, LIVE, 120, T0, partition=1, leak=False)
    now = read(outputs(log.records)[history:])
    assert {one.evidence.service if isinstance(one, Anomaly) else one.service for one in now} == {"shop"}
    assert not [one for one in now if isinstance(one, Anomaly)]


def test_a_series_of_history_is_known_when_it_lives() -> None:
    log = yesterday(Log().define(OLD))
    feed(log, OLD, 200, T0, partition=0, leak=True)
    opened = [one for one in anomalies(log.records) if one.phase is Phase.OPENED]
    assert [one.at >= T0 for one in opened] == [False, True]


def test_beside_a_live_stream_history_changes_nothing() -> None:
    alone, beside = Log().define(OLD, LIVE), Log().define(OLD, LIVE)
    feed(alone, LIVE, 60, T0, partition=1, leak=False)
    feed(beside, LIVE, 60, T0, partition=1, leak=False)
    yesterday(beside)
    for log in (alone, beside):
        feed(log, LIVE, 150, T0 + 60_000, partition=1, leak=True)
    assert [output.value for output in outputs(beside.records)] == [output.value for output in outputs(alone.records)]


def test_no_time_passes_for_history_but_what_waits_at_its_end_is_judged_and_marked() -> None:
    """The harness writes no tick while history passes: one says that nothing more of it comes."""
    log = yesterday(Log().define(OLD))
    told = outputs(log.records)
    log.tick(T0)
    last = outputs(log.records)[len(told) :]
    assert all((BACKFILL_HEADER, b"1") in output.headers for output in last)
    for second in range(1, 60):
        log.tick(T0 + 1000 * second)
    assert len(outputs(log.records)) == len(told) + len(last), "nobody is silent"
    assert len(fold(log).waiting) == 0


@pytest.mark.parametrize("ends", [600, 1200])
def test_a_source_of_history_that_ends_before_the_others_holds_back_nothing_for_good(ends: int) -> None:
    """Its rows were waited for until the first live record, which gives history up."""
    begin = T0 - DAY_MS

    def day(mark: bool) -> Log:
        log = Log().define(LIVE, OLD)
        for first in range(0, 1200, 100):
            for number, one, last in ((0, OLD, 1200), (1, LIVE, ends)):
                rows = [
                    (one, begin + 1000 * i, 1e9 if one is OLD and 900 <= i < 1000 else 5e7) for i in range(first, min(last, first + 100))
                ]
                for some in [rows] if mark else [[row] for row in rows]:
                    if some:
                        log.rows(some, number, T0 if mark else None)
        if mark:
            log.records[1:] = marked(log.records[1:])
        return log.tick(T0 if mark else begin + 1_300_000).tick(T0 + 20_000)

    found = {(one.phase, one.opened_at) for one in anomalies(day(True).records) if one.evidence.service == "old"}
    assert {phase for phase, _ in found} >= {Phase.OPENED, Phase.CLOSED}
    assert {at for _, at in found} == {begin + 900_000}
    fates: Counter[str] = Counter()
    for told in tolds(day(True).records):
        fates += told.fates
    assert fates == {"on_time": 1200 + ends}


def test_a_snapshot_remembers_that_it_holds_history() -> None:
    log = yesterday(Log().define(OLD, LIVE))
    detect = stage(CONFIG)
    state = detect.restore(detect.snapshot(fold(log)))
    assert state.history
    feed(log, LIVE, 120, T0, partition=1, leak=False)
    left = log.records[-120:]
    found = read([output for record in left for output in detect.apply(state, record, record.timestamp)])
    assert not [one for one in found if isinstance(one, Anomaly)]
