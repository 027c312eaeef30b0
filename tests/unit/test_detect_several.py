"""Rows of several source partitions in one record are taken as if each had come by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
import numpy as np

from models.detection.state import snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.samples import BatchSource, SampleBatch
from tests.unit.detect_feed import CONFIG, T0, Log, fold, series, tolds

A = series("shop", Kind.POOL, unit="ratio")
Part = tuple[BatchSource, SampleBatch]


def part(partition: int, first: int, rows: int, at: int = T0) -> Part:
    offsets = np.arange(first, first + rows)
    ids = np.full(rows, A.id, np.uint64)
    return BatchSource("metrics", partition, first, first + rows - 1), SampleBatch(ids, at + 1000 * offsets, offsets / 10, offsets)


def one_record(*parts: Part) -> Log:
    return Log().define(A).several(parts, T0)


def one_by_one(*parts: Part) -> Log:
    log = Log().define(A)
    for one in parts:
        log.several([one], T0)
    return log


def same(config: DetectConfig, *parts: Part) -> bool:
    return snapshot(fold(one_record(*parts), config)) == snapshot(fold(one_by_one(*parts), config))


def test_what_became_of_rows_is_told_by_the_topic_they_come_from() -> None:
    def of_team(partition: int, first: int, rows: int, share: float = 1.0) -> Part:
        source, batch = part(partition, first, rows)
        return msgspec.structs.replace(source, topic="team"), replace(batch, value=share * batch.value)

    log = one_record(part(0, 0, 4), of_team(0, 0, 3), part(1, 4, 2)).several([of_team(0, 0, 3)], T0)
    log.several([of_team(0, 3, 3, np.nan)], T0)
    found: Counter[tuple[str, str]] = Counter()
    for told in tolds(log.tick(T0 + 90_000).tick(T0 + 180_000).records):
        found += told.rows
    ours = {("metrics", "on_time"): 3, ("metrics", "same_time"): 3}
    assert found == {**ours, ("team", "on_time"): 3, ("team", "duplicate"): 3, ("team", "not_finite"): 3}


def test_two_sources_that_have_one_place_take_it_in_turn() -> None:
    parts = [part(0, 0, 3), part(1, 0, 3, T0 + 10_000), part(0, 3, 3, T0 + 20_000)]
    crowded = CONFIG.model_copy(update={"max_sources": 1})
    assert same(crowded, *parts)
    _, told = tolds(one_record(*parts).records, crowded)
    assert told.evicted_sources == 2
    assert told.fates["duplicate"] == 0, "the offsets of one say nothing of another's"
    assert fold(one_record(*parts), crowded).sources.names() == [("metrics", 0)]


def test_what_one_source_repeats_within_a_record_is_dropped() -> None:
    parts = [part(0, 0, 5), part(1, 0, 2), part(0, 3, 4)]
    assert same(CONFIG, *parts)
    _, told = tolds(one_record(*parts).records)
    assert told.fates["duplicate"] == 2
    assert told.received == {"metrics": 11}


def test_rows_count_by_the_topic_that_they_come_from() -> None:
    source, rows = part(1, 0, 2)
    _, told = tolds(one_record(part(0, 0, 5), (msgspec.structs.replace(source, topic="team"), rows)).records)
    assert told.received == {"metrics": 5, "team": 2}


def test_a_record_of_one_source_may_follow_one_of_several() -> None:
    log = one_record(part(0, 0, 3), part(1, 0, 3)).several([part(1, 3, 2)], T0)
    apart = one_by_one(part(0, 0, 3), part(1, 0, 3), part(1, 3, 2))
    assert snapshot(fold(log)) == snapshot(fold(apart))
