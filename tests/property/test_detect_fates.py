"""Every row and every definition that detect takes in ends in exactly one fate, whatever comes and in whatever order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
import msgspec
import numpy as np
from hypothesis import HealthCheck, example, given, settings

from models.detection.fates import DefinitionFate, RowFate
from models.detection.state import restore, snapshot
from schemas.kinds import Kind
from schemas.samples import STALE_BITS, SeriesDef, decode_batch, decode_series
from streams.harness.fold import BACKFILL_HEADER
from tests.unit.detect_feed import CONFIG, T0, Log, counter, histogram, series, tolds

FULL = CONFIG.model_copy(
    update={"min_history": 3, "history_points": 10, "forget_s": 6.0, "max_lag_s": 5.0, "max_series": 10, "max_pending": 30, "max_sources": 2,
            "max_buckets": 2, "max_series_per_source": 8, "max_values_per_label": 4}
)  # fmt: skip
OTHER = FULL.model_copy(update={"history_points": 12})
BUCKETS = histogram("shop", (0.1, 0.5, None))
DEFS = [
    *(msgspec.structs.replace(series(f"s{n}", Kind.POOL), source="one", labels={"id": f"{n % 7}"}) for n in range(9)),
    counter("shop", Kind.REQUESTS),
    *BUCKETS,
]
CHANGED = [series(f"s{n}", Kind.MEMORY, metric="pool_metric") for n in range(3)]
TOPICS = ("metrics", "metrics", "team")  # of the partitions
ENDS = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])

rows = st.lists(
    st.tuples(
        st.sampled_from([*DEFS, series("nobody", Kind.POOL)]),
        st.sampled_from([-90_000, -4000, -700, 0, 0, 0, 300, 900, 60_000]),
        st.sampled_from([0.1, 0.1, 5.0, float("nan"), ENDS]),
        st.sampled_from([1, 1, 1, 0, -3]),  # how far the offset goes on
    ),
    min_size=1,
    max_size=12,
)
steps = st.one_of(
    st.tuples(st.just("rows"), st.integers(0, 2), rows, st.sampled_from([True, True, False])),
    st.tuples(st.just("history"), st.integers(0, 2), rows, st.just(True)),
    st.tuples(st.just("define"), st.lists(st.sampled_from([*DEFS, *CHANGED]), max_size=13)),
    st.tuples(st.just("heartbeat"), st.integers(0, 2), st.sampled_from([-5000, 0, 90_000])),
    st.tuples(st.just("tick"), st.sampled_from([-60_000, 0, 0, 30_000])),
    st.tuples(st.just("restart"), st.booleans()),
)


def append(log: Log, step: tuple, now: int, offsets: dict[int, int]) -> None:
    match step:
        case ("rows" | "history" as what, partition, told, timed):
            batch: list[tuple[SeriesDef, int, float, int]] = []
            for one, at, value, on in told:
                offsets[partition] = max(0, offsets.get(partition, 0) + on)
                batch.append((one, now + at, value, offsets[partition]))
            batch.sort(key=lambda row: row[3])
            log.batch(batch, partition, now if timed else 0, TOPICS[partition])
            if what == "history":
                log.records[-1] = replace(log.records[-1], headers=(*log.records[-1].headers, (BACKFILL_HEADER, b"1")))
        case ("define", told):
            log.define(*told)
        case ("heartbeat", partition, at):
            log.heartbeat(now + at, partition, now)
        case ("tick", at):
            log.tick(now + at)


def one_row(at: int) -> list[tuple[SeriesDef, int, float, int]]:
    return [(DEFS[0], at, 0.1, 1)]


# A source that had to make room for a third one leaves a row that nobody else's time reaches.
REPLACED = [("rows", 0, one_row(60_000), False), ("rows", 1, one_row(60_000), False), ("rows", 2, one_row(-90_000), True)]

# Where all sources are idle already a late row goes into a window that nobody's time reaches.
AFTER_IDLE = [
    ("rows", 0, one_row(-4000), True),
    ("define", []),
    ("tick", -60_000),
    ("tick", 0),
    ("rows", 0, [(DEFS[1], -90_000, 0.1, 1)], True),
]


@example(AFTER_IDLE)
@example([("rows", 0, 2 * one_row(-90_000), True), *REPLACED])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=60))
def test_the_fates_add_up_to_what_was_taken_in(told: list[tuple]) -> None:
    state, config = restore(None, FULL), FULL
    fates: Counter[RowFate] = Counter()
    received: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    named = True  # while no source had to make room with rows that wait, and no snapshot was of another shape: of those no topic is known
    definitions: Counter[DefinitionFate] = Counter()
    offsets: dict[int, int] = {}
    taken = defined = 0
    for i, step in enumerate([("define", DEFS), *told, ("tick", 0), ("tick", 3_600_000), ("tick", 7_200_000)]):
        if step[0] == "restart":
            config = OTHER if step[1] else FULL
            state = restore(snapshot(state), config)
            continue
        log = Log()
        append(log, step, T0 + 1000 * i, offsets)
        for record in log.records:
            taken += len(decode_batch(record.value).offset) if record.header("airra.type") == b"samples" else 0
            defined += len(decode_series(record.value)) if record.header("airra.type") == b"series" else 0
            for one in tolds([record], config, state):
                fates += one.fates
                received += one.received
                for (topic, _), count in one.rows.items():
                    ended[topic] += count
                named = named and not one.evicted_sources and "" not in ended
                definitions += one.definitions
            assert taken == fates.total() + state.given_up + len(state.waiting)
            assert all(count > 0 for count in fates.values())
            assert not named or received == ended + state.sources.topics(state.waiting.rows)
    assert defined == definitions.total()
    assert restore(snapshot(state), config).registry.census == state.registry.census
    if not state.history:
        assert len(state.waiting) == 0, "where time passes every window is closed in the end"
