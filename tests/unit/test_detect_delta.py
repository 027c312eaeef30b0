"""Delta temporality and the mark that ends a series, in the fold of detect."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection.fates import ON_TIME
from models.detection.packed import Ints, Packed
from models.detection.rows import ROW
from models.detection.series.increase import COUNTS, FOLDED, SAME_TIME, fold_window
from models.detection.series.tables import BUCKET, COUNTER, GAUGE, Raws
from models.detection.state import restore, snapshot
from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import AnomalyReason, Health, Phase
from streams.normalise.formats.staleness import STALE
from tests.unit.detect_cart import MB, MEMORY, POOL, REQUESTS
from tests.unit.detect_feed import CONFIG, Log, anomalies, each_second, fold, histogram, phases, signals


def delta(definition: SeriesDef) -> SeriesDef:
    return msgspec.structs.replace(definition, delta=True)


def told(log: Log) -> list[object]:
    return [(one.at, [(s.metric, s.value, s.points) for s in one.series]) if isinstance(one, Health) else one.id for one in signals(log)]


def test_a_delta_counter_is_the_cumulative_one() -> None:
    steps = [float(5 + i % 7) for i in range(120)]
    whole = each_second(120, lambda i: [(REQUESTS, sum(steps[: i + 1]))], REQUESTS)
    parts = each_second(120, lambda i: [(delta(REQUESTS), steps[i])], delta(REQUESTS))
    assert told(parts) == told(whole)


def test_a_delta_histogram_is_the_cumulative_one() -> None:
    buckets, growth = histogram("cart", (0.1, 0.2, None)), (10.0, 40.0, 100.0)
    whole = each_second(40, lambda i: [(b, g * (i + 1)) for b, g in zip(buckets, growth, strict=True)], *buckets)
    deltas = [delta(one) for one in buckets]
    parts = each_second(40, lambda _: list(zip(deltas, growth, strict=True)), *deltas)
    assert told(parts) == told(whole)


def test_a_snapshot_taken_in_the_middle_changes_nothing() -> None:
    log = each_second(60, lambda i: [(delta(REQUESTS), 5.0 + i)], delta(REQUESTS))
    state = fold(log)
    again = restore(snapshot(state), CONFIG)
    assert again.registry.raws.last_v[0] == state.registry.raws.last_v[0] > 60.0
    assert again.registry.raws.delta[0]


def test_a_snapshot_of_a_release_without_the_column_is_read() -> None:
    table = Raws()
    table.take()
    image = table.dump()
    del image["delta"]
    again = Raws()
    again.load(image)
    assert again.delta.tolist() == [False]
    assert isinstance(again, Packed)
    again.take()  # it grows with the others
    assert again.last_v[again.take()] == 0.0


def folding(raw: Ints, at: Ints, values: Any, raws: Raws) -> tuple[Any, dict[int, int]]:
    """Fold rows as one window; return the raw series, and what became of rows."""
    rows = np.zeros(len(raw), ROW)
    rows["raw"], rows["at"], rows["value"] = raw, at, values
    found, counts = np.empty(len(rows), FOLDED), np.zeros((1, COUNTS), np.int64)
    count, _ = fold_window(rows, 0, len(rows), raws.rows, found, counts)
    return found[:count], {place: count for place, count in enumerate(counts[0].tolist()) if count}


RUNS = st.lists(st.lists(st.integers(0, 1000), max_size=5), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.sampled_from([GAUGE, COUNTER, BUCKET]), st.booleans(), RUNS), min_size=1, max_size=4))
def test_however_windows_are_cut_a_delta_series_is_the_running_sum(described: list[tuple[int, bool, list[list[int]]]]) -> None:
    raws = Raws()
    for kind, is_delta, _ in described:
        row = raws.take()
        raws.type[row], raws.delta[row] = kind, is_delta
    clock, sums = [0] * len(described), [0.0] * len(described)
    for window in range(max(len(runs) for _, _, runs in described)):
        rows = []
        for raw, (_, _, runs) in enumerate(described):
            for value in runs[window] if window < len(runs) else []:
                clock[raw] += 1
                sums[raw] += value
                rows.append((raw, clock[raw], float(value)))
        if not rows:
            continue
        raw, at, values = (np.array(column) for column in zip(*rows, strict=True))
        folded, _ = folding(raw, at, values, raws)
        for own, value in zip(folded["raw"].tolist(), folded["value"].tolist(), strict=True):
            if described[own][1]:
                assert value == pytest.approx(sums[own])


def test_less_than_nothing_counts_as_nothing_in_a_counter_and_falls_in_a_level() -> None:
    raws = Raws()
    for kind in (COUNTER, GAUGE):
        row = raws.take()
        raws.type[row], raws.delta[row] = kind, True
    folded, _ = folding(np.array([0, 0, 1, 1]), np.array([1, 2, 1, 2]), np.array([5.0, -3.0, 5.0, -3.0]), raws)
    assert folded["value"].tolist() == [5.0, 2.0]
    assert folded["raw"][folded["reset"]].tolist() == [1]  # a level that falls; levels know no resets


@pytest.mark.parametrize("wild", [1e18, 1e31])
def test_after_one_absurd_count_those_that_follow_count(wild: float) -> None:
    raws = Raws()
    row = raws.take()
    raws.type[row], raws.delta[row] = COUNTER, True
    found = []
    for at, value in enumerate([5.0, wild, 5.0, 500.0], 1):
        folded, _ = folding(np.array([0]), np.array([at]), np.array([value]), raws)
        found.append((folded["increase"].tolist(), folded["reset"].tolist()))
    assert found[2:] == [([5.0], [False]), ([500.0], [False])]


def test_a_series_that_its_producer_ended_is_not_missed() -> None:
    def second(mark: bool) -> Log:
        return each_second(
            120, lambda i: [(MEMORY, 50 * MB), *([(POOL, 0.1)] if i < 60 else [(POOL, STALE)] if mark and i == 60 else [])], MEMORY, POOL
        )

    assert [one.reason for one in phases(second(mark=False), Phase.OPENED)] == [AnomalyReason.SILENCE]
    assert anomalies(second(mark=True)) == []


def test_a_mark_older_than_what_followed_it_ends_nothing() -> None:
    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(MEMORY, 50 * MB), *([(POOL, STALE)] if i == 20 else [(POOL, 0.1)] if i < 60 else [])]

    opened = phases(each_second(120, second, MEMORY, POOL), Phase.OPENED)
    assert [(one.reason, one.evidence.kind) for one in opened] == [(AnomalyReason.SILENCE, Kind.POOL)]


def test_the_mark_is_no_value_of_its_series() -> None:
    log = each_second(60, lambda i: [(POOL, STALE if i == 40 else 0.1)], POOL)
    values = {v for one in signals(log) if isinstance(one, Health) for s in one.series for _, v in s.points}
    assert values == {0.1}


def test_a_window_of_nothing_but_what_was_folded_before_is_folded_too() -> None:
    raws = Raws()
    raws.take()
    once, again = (folding(np.array([0]), np.array([5]), np.array([1.0]), raws)[1] for _ in range(2))
    assert once == {ON_TIME: 1}
    assert again == {SAME_TIME: 1}
