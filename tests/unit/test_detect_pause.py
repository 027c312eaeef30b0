"""What stands still in front of detect is nobody's silence: when rows come again, all are waited for who fell silent together."""

from __future__ import annotations

import pytest

from models.detection.state import restore
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.samples import BatchSource, SampleBatch
from schemas.signals import Anomaly, Phase
from tests.unit.detect_feed import CONFIG, T0, Log, batch_of, series, tolds

MB = 1e6
MANY = [series(f"s{n}", Kind.MEMORY, unit="bytes") for n in range(6)]
SICK = MANY[1]  # of source 1
BEGINS, ENDS, WHOLE = 100, 160, 400  # seconds: the fault, the test
COUNTED = CONFIG.model_copy(update={"max_lag_s": 60.0})


def rows(source: int, seconds: range) -> tuple[BatchSource, SampleBatch]:
    """Return a batch of the source's series, a row a second of each."""
    found = [
        (one, T0 + 1000 * second, (150.0 if one is SICK and BEGINS <= second < ENDS else 50.0) * MB, second * len(MANY) + place)
        for second in seconds
        for place, one in enumerate(MANY)
        if place % 3 == source
    ]
    batch = batch_of(found)
    return BatchSource("metrics", source, int(batch.offset[0]), int(batch.offset[-1])), batch


def paused(first: int, last: int, *, together: bool, at_once: int, beats: bool = False) -> Log:
    """Write three sources live, but for these seconds, which come afterwards: so many seconds of each source in a record, or in one each."""
    log = Log().define(*MANY)

    def bring(begin: int, end: int, now: int) -> None:
        parts = [rows(source, range(begin, end)) for source in range(3)]
        if beats:
            log.heartbeat(T0 + 1000 * (end - 1), 3, T0 + 1000 * now)
        for some in [parts] if together else [[part] for part in parts]:
            log.several(some, T0 + 1000 * now + 500)

    for second in range(WHOLE):
        if second % 5 == 0:
            log.tick(T0 + 1000 * second + 100)
        if second == last:
            for begin in range(first, last, at_once):
                bring(begin, min(last, begin + at_once), second)
        if not first <= second < last:
            bring(second, second + 1, second)
    return log


def found(log: Log, config: DetectConfig = COUNTED) -> tuple[list[Anomaly], dict[str, int]]:
    """Return what was told, but for the record that was there at the time, and what became of rows."""
    state, told, fates = restore(None, config), [], dict[str, int]()
    for one in tolds(log.records, config, state):
        told += [signal.model_copy(update={"source": None}) for signal in one.signals if isinstance(signal, Anomaly)]
        for fate, count in one.fates.items():
            fates[fate] = fates.get(fate, 0) + count
    return [one for one in told if one.phase is not Phase.CONTINUED], fates


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("at_once", [1000, 40])
@pytest.mark.parametrize(("first", "last"), [(90, 110), (70, 370), (165, 200)])
@pytest.mark.parametrize("beats", [True, False])
def test_a_pause_of_the_whole_pipeline_changes_nothing_of_what_is_found(
    first: int, last: int, at_once: int, together: bool, beats: bool
) -> None:
    (was, fates), (after, others) = (
        found(paused(0, 0, together=True, at_once=1, beats=beats)),
        found(paused(first, last, together=together, at_once=at_once, beats=beats)),
    )
    assert {one.evidence.service for one in was} == {SICK.service}
    assert after == was
    assert others == fates


def test_a_source_that_does_not_come_back_is_waited_for_no_longer_than_one_that_falls_silent() -> None:
    log = Log().define(*MANY)
    for second in range(200):
        if second % 5 == 0:
            log.tick(T0 + 1000 * second + 100)
        if second < 60 or second >= 150:
            log.several([rows(source, range(second, second + 1)) for source in range(3 if second < 60 else 1)], T0 + 1000 * second + 500)
    closed: dict[int, int] = {}  # by time of the record, windows
    state = restore(None, COUNTED)
    for record in log.records:
        list(tolds([record], COUNTED, state))
        closed[(record.timestamp - T0) // 1000] = (state.closed or 0) - T0 // 1000
    assert closed[152] <= 60, "for those who fell silent together it waits"
    assert closed[170] >= 165
    assert closed[199] >= 195
