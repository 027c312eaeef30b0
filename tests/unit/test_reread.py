"""What the campaign compares a log with repeats to: the same log with each row once, which leads detect to the very same state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cli.config import load
from cli.demo.command import ROOT
from models.detection import fold as detecting
from models.detection.admit_kernel import look
from schemas.config.detect import DetectConfig
from schemas.samples import BATCH_HEADER, BatchSource, SampleBatch, decode_batch, encode_batch, encode_series, encode_source, headers
from schemas.topics import SAMPLES
from streams import detect
from streams.harness.stage import Record
from tests.faults.detecting import definitions, folded
from tests.faults.reliability.reread import dropped, without_repeats

STAGE = detect.stage(load(DetectConfig, ROOT / "config" / "detect.yaml"))
T0 = 1_795_489_200_000
DEFS = definitions("s1")


def log(*spans: tuple[int, int]) -> list[Record]:
    """Write rows first to last of one source, a batch a span; a row a second of each series, the counter's rising."""
    records = [Record(SAMPLES.name, 0, 0, T0, None, encode_series(DEFS), tuple(headers("series")))]
    for first, last in spans:
        offsets = np.arange(first, last + 1, dtype=np.int64)
        series = np.array([DEFS[offset % len(DEFS)].id for offset in offsets.tolist()], np.uint64)
        rows = SampleBatch(series, T0 + offsets // len(DEFS) * 1000, 1.0 + offsets.astype(float), offsets)
        head = (*headers("samples"), (BATCH_HEADER, encode_source(BatchSource("metrics", 0, first, last))))
        records.append(Record(SAMPLES.name, 0, len(records), T0 + last // len(DEFS) * 1000, None, encode_batch(rows), head))
    return records


WITH_REPEATS = log((0, 149), (150, 299), (0, 99), (100, 350), (351, 400))


def rows_of(records: Sequence[Record]) -> list[int]:
    return [offset for record in records[1:] for offset in decode_batch(record.value).offset.tolist()]


def test_each_row_stands_once_in_the_order_in_which_it_came_first() -> None:
    assert rows_of(list(without_repeats(WITH_REPEATS))) == list(range(401))


def test_repeats_change_neither_state_nor_signals() -> None:
    assert folded(STAGE, WITH_REPEATS) == folded(STAGE, without_repeats(WITH_REPEATS))


def test_a_detect_that_takes_repeats_again_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = [*WITH_REPEATS, *log((380, 400))[1:]]
    once = folded(STAGE, without_repeats(newest))
    assert folded(STAGE, newest) == once

    def forgetful(batch: Any, ends: Any, numbers: Any, sources: Any, *rest: Any) -> Any:
        sources["mark"] = -1
        return look(batch, ends, numbers, sources, *rest)

    monkeypatch.setattr(detecting, "look", forgetful)
    assert folded(STAGE, newest) != once


def test_a_state_that_was_saved_and_taken_up_again_is_saved_alike() -> None:
    state = STAGE.restore(None)
    for record in WITH_REPEATS:
        STAGE.apply(state, record, record.timestamp)
        state = STAGE.restore(STAGE.snapshot(state))
    assert {0: STAGE.snapshot(state)} == folded(STAGE, WITH_REPEATS)[0]


def test_how_many_rows_detect_dropped_is_read_from_its_metrics() -> None:
    told = [("duplicate", "metrics", 11), ("duplicate", "other", 1), ("late", "metrics", 3)]
    assert dropped("".join(f'airra_detect_rows_total{{fate="{fate}",topic="{topic}"}} {rows}\n' for fate, topic, rows in told)) == 12
    assert dropped("") == 0
