"""The fold of detect under other cuts of the batches, repeats, restarts and disorder."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from models.detection.state import snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import BATCH_HEADER, TYPE_HEADER, BatchSource, SampleBatch, SeriesDef, decode_batches
from schemas.signals import Anomaly, Health
from schemas.topics import SAMPLES
from streams.detect import stage
from tests.unit.detect_feed import CONFIG, T0, Log, counter, fold, histogram, outputs, read, series

QUICK = CONFIG.model_copy(update={"min_history": 5, "history_points": 10, "history_s": 20.0, "forget_s": 8.0, "max_lag_s": 5.0})
QUICK_SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

GAUGES = [
    series("cart", Kind.POOL, unit="ratio"),
    series("shop", Kind.CACHE, unit="ratio", direction=Direction.DOWN),
    series("shop", Kind.SATURATION, metric="disk_write", unit="bytes/s"),
]
COUNTERS = [counter("cart", Kind.REQUESTS, direction=Direction.NONE), counter("cart", Kind.ERRORS)]
BUCKETS = histogram("shop", (0.1, 0.5, None))
DEFS = [*GAUGES, *COUNTERS, *BUCKETS]

Item = tuple[int, SeriesDef, int, float] | int  # a row: source partition, series, time, value; or a tick


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Some 40 seconds of series in two source partitions: levels that jump, restarts, absences long enough to be forgotten, ticks."""
    items: list[Item] = []
    levels = draw(st.lists(st.sampled_from([0.1, 0.1, 0.1, 0.9]), min_size=5, max_size=5))
    totals = dict.fromkeys((one.id for one in DEFS), 0.0)
    away = draw(st.sets(st.integers(0, 39), max_size=12))
    restart = draw(st.integers(0, 60))
    gone = draw(st.integers(0, 20))
    back = gone + draw(st.sampled_from([0, 0, 12, 16]))
    lag = draw(st.sampled_from([0, 0, 7_000]))  # of the second source, beyond QUICK's largest
    for i in range(40):
        level = levels[i // 8]
        if i == restart:
            totals = dict.fromkeys(totals, 0.0)
        for n, one in enumerate(DEFS):
            totals[one.id] += 30 * (level if one in COUNTERS[1:] else 1) * (n + 1)
            if (i in away and n % 2 == 0) or (gone <= i < back and n % 3 != 1):
                continue
            value = level if one in GAUGES else totals[one.id]
            late = draw(st.sampled_from([0, 0, 0, 700, 3000])) + (lag if n % 2 else 0)
            items.append((n % 2, one, T0 + 1000 * i + 300 - late, value))
        if i % 5 == 0:
            items.append(T0 + 1000 * i)
    return items


def log_of(items: list[Item], cuts: list[int]) -> Log:
    """Write the items in their order; a batch ends at a tick, where the source changes, or where a cut says so."""
    log = Log().define(*DEFS)
    batch: list[tuple[SeriesDef, int, float]] = []
    source = 0
    for i, item in enumerate([*items, 0]):
        row = None if isinstance(item, int) else item
        if batch and (row is None or row[0] != source or i in cuts):
            log.rows(batch, source, now=T0)
            batch = []
        if row is not None:
            source = row[0]
            batch.append(row[1:])
        elif item:
            log.tick(int(item))
    return log


def by_source(items: list[Item]) -> list[Item]:
    """Bring the rows between two ticks together by source, so that batches may be long."""
    found: list[Item] = []
    run: list[Item] = []
    for item in [*items, 0]:
        if isinstance(item, int):
            found += sorted(run, key=lambda one: one[0] if isinstance(one, tuple) else 0)
            run = []
            found += [item] if item else []
        else:
            run.append(item)
    return found


def told(log: Log, config: DetectConfig = QUICK) -> list[Anomaly | Health]:
    """Say what detect says, but for where a tick stands in its log: that does depend on the number of batches before it."""
    found = read(outputs(log.records, config))
    return [one.model_copy(update={"source": None}) if one.source.topic == SAMPLES.name else one for one in found]


@QUICK_SETTINGS
@given(histories(), st.lists(st.integers(0, 400), max_size=40))
def test_however_batches_are_cut_the_outputs_are_the_same_record_for_record(items: list[Item], cuts: list[int]) -> None:
    items = by_source(items)
    whole = told(log_of(items, []))
    assert told(log_of(items, cuts)) == whole
    assert told(log_of(items, list(range(500)))) == whole


def joined(log: Log, cuts: list[int]) -> Log:
    """Bring batches that follow each other into one record, but where a cut says so: of both sources, or of one twice."""
    found, held = Log(), list[tuple[BatchSource, SampleBatch]]()
    for i, record in enumerate([*log.records, None]):
        is_batch = record is not None and record.header(TYPE_HEADER) == b"samples"
        if held and (not is_batch or i in cuts):
            found.several(held, T0)
            held = []
        if record is not None and is_batch:
            held += decode_batches(record.value, record.header(BATCH_HEADER)).parts()
        elif record is not None:
            found.records.append(replace(record, offset=len(found.records)))
    return found


@pytest.mark.parametrize("most", [2, 1])
@QUICK_SETTINGS
@given(histories(), st.lists(st.integers(0, 400), max_size=20), st.lists(st.integers(0, 400), max_size=20))
def test_batches_of_several_sources_in_one_record_are_as_one_after_the_other(
    most: int, items: list[Item], cuts: list[int], apart: list[int]
) -> None:
    """Also where the two sources have one place, so that each takes the other's."""
    config = QUICK.model_copy(update={"max_sources": most})
    log = log_of(items, cuts)
    together = joined(log, apart)
    assert told(together, config) == told(log, config)
    assert snapshot(fold(together, config)) == snapshot(fold(log, config))


@QUICK_SETTINGS
@given(histories(), st.integers(0, 1000))
def test_a_restart_anywhere_changes_nothing(items: list[Item], at: int) -> None:
    records = log_of(items, list(range(0, 400, 7))).records
    one = stage(QUICK)
    state = one.restore(None)
    found = []
    for i, record in enumerate(records):
        if i == at % len(records):
            data = one.snapshot(state)
            state = one.restore(data)
            assert one.snapshot(state) == data
            assert one.capture is not None
            made = one.capture(state)
        found += one.apply(state, record, record.timestamp)
    assert found == outputs(records, QUICK)
    assert made() == data, "what was captured does not change with what is folded after it"


@QUICK_SETTINGS
@given(histories(), st.integers(0, 300), st.integers(1, 60))
def test_rows_repeated_after_a_crash_in_another_cut_change_nothing(items: list[Item], first: int, width: int) -> None:
    rows = [(i, item) for i, item in enumerate(items) if isinstance(item, tuple)]
    plain, repeating = Log().define(*DEFS), Log().define(*DEFS)
    offsets = {0: 0, 1: 0}
    written: dict[int, list[tuple[SeriesDef, int, float, int]]] = {0: [], 1: []}
    for n, (_, (source, one, at, value)) in enumerate(rows):
        row = (one, at, value, offsets[source])
        offsets[source] += 1
        for log in (plain, repeating):
            log.batch([row], source, now=T0)
        written[source].append(row)
        if n == first % len(rows):
            for repeated, past in written.items():
                if past:
                    repeating.batch(past[-width:], repeated, now=T0)
    assert outputs(repeating.records, QUICK) == outputs(plain.records, QUICK)


@QUICK_SETTINGS
@given(histories(), st.randoms(use_true_random=False))
def test_disorder_within_the_lateness_changes_no_verdict(items: list[Item], random) -> None:
    ordered = [(0, one, at - at % 1000 + 300, value) for _, one, at, value in (item for item in items if isinstance(item, tuple))]
    newest: dict[tuple[int, int], tuple[int, SeriesDef, int, float]] = {(one.id, at): (0, one, at, value) for _, one, at, value in ordered}
    ordered = sorted(newest.values(), key=lambda row: row[2])
    shuffled = sorted(ordered, key=lambda row: row[2] + random.randrange(0, 690))

    def verdicts(rows: list[tuple[int, SeriesDef, int, float]]) -> list[tuple[str, int, object]]:
        found = read(outputs(log_of(list(rows), []).records, QUICK))
        return [(one.id, one.at, one.evidence if isinstance(one, Anomaly) else one.series) for one in found]

    end: list[tuple[int, SeriesDef, int, float]] = [(0, GAUGES[0], T0 + 100_000, 0.1)]
    assert verdicts(shuffled + end) == verdicts(ordered + end)
