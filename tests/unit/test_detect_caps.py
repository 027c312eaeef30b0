"""Caps on the series of one source and on the values of one label: who is refused, who makes room, and that it is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest
from prometheus_client import REGISTRY

from models.detection.state import DetectState, restore, snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.samples import SeriesDef
from tests.unit.detect_feed import CONFIG, T0, Log, each_second, fold, histogram, series, tolds

CAPPED = CONFIG.model_copy(update={"max_series_per_source": 10, "max_values_per_label": 4, "forget_s": 60.0})


def of(source: str, count: int, first: int = 0, **labels: str) -> list[SeriesDef]:
    """Series of one source, each with another service."""
    return [
        msgspec.structs.replace(series(f"{source}{n:03}", Kind.MEMORY), source=source, labels=dict(labels))
        for n in range(first, first + count)
    ]


def requests(source: str, count: int, first: int = 0) -> list[SeriesDef]:
    """Series of one source, each with a request id for a label."""
    named = of(source, count, first)
    return [msgspec.structs.replace(one, labels={"request": f"{n + first}", "zone": "a"}) for n, one in enumerate(named)]


def defined(definitions: Iterable[list[SeriesDef]], config: DetectConfig = CAPPED) -> tuple[DetectState, Counter[str]]:
    log = Log()
    for one in definitions:
        log.define(*one)
    state, found = restore(None, config), Counter[str]()
    for told in tolds(log.records, config, state):
        found += told.definitions
    return state, found


def services(state: DetectState) -> set[str]:
    return {found.service for found in state.registry.defs.values()}


def test_a_source_with_too_many_series_takes_no_room_of_another() -> None:
    state, found = defined([of("noisy", 30), of("calm", 5)])
    assert found == {"taken": 15, "source_above_cap": 20}
    assert {f"calm{n:03}" for n in range(5)} <= services(state)
    log = Log().rows([(one, T0, 1.0) for one in of("noisy", 30)])
    (told,) = tolds(log.records, CAPPED, state)
    assert told.fates["unknown_series"] == 20, "rows of what was refused have their fate too"


@pytest.mark.parametrize(("fate", "make"), [("source_above_cap", of), ("label_above_cap", requests)])
def test_what_is_above_a_cap_is_counted_by_the_stage(fate, make) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("airra_detect_definitions_total", {"source": "other", "fate": fate}) or 0.0

    before = counted()
    fold(Log().define(*make("noisy", 15)), CAPPED.model_copy(update={"max_series_per_source": 10 if make is of else 20}))
    assert counted() - before == (5 if make is of else 11)


def test_a_label_with_too_many_values_refuses_new_values_and_no_other_series() -> None:
    config = CAPPED.model_copy(update={"max_series_per_source": 20})
    state, found = defined([requests("noisy", 9), of("noisy", 2, 50, zone="b"), requests("calm", 2)], config)
    assert found == {"taken": 8, "label_above_cap": 5}
    assert {"noisy050", "noisy051", "calm000", "calm001"} <= services(state)
    more = [msgspec.structs.replace(one, id=one.id + 1, group=one.id + 1) for one in requests("noisy", 5)]
    (told,) = tolds(Log().define(*more).records, config, state)
    assert told.definitions == {"taken": 4, "label_above_cap": 1}, "a value that is known counts once"


@pytest.mark.parametrize("make", [of, requests])
def test_what_is_silent_of_the_same_source_makes_room_and_nothing_else_does(make) -> None:
    config = CAPPED.model_copy(update={"max_series_per_source": 4})
    noisy, calm = make("noisy", 4), of("calm", 3)
    log = each_second(40, lambda i: [(one, 1.0) for one in (noisy[3:] if i > 5 else noisy + calm)], *noisy, *calm)
    state = fold(log.define(*make("noisy", 1, 10)), config)
    assert services(state) == {"noisy001", "noisy002", "noisy003", "noisy010", "calm000", "calm001", "calm002"}


def test_what_was_forgotten_counts_and_goes_first() -> None:
    config = CAPPED.model_copy(update={"max_series_per_source": 4})
    noisy = of("noisy", 4)
    log = each_second(100, lambda i: [(one, 1.0) for one in (noisy[2:] if i > 5 else noisy)], *noisy)
    state = fold(log, config)
    assert (state.registry.raws.count, state.registry.census.series["noisy"]) == (2, 4)
    again = restore(snapshot(state), config)
    for one in (state, again):
        (told,) = tolds(Log().define(*of("noisy", 3, 10)).records, config, one)
        assert told.definitions == {"taken": 2, "source_above_cap": 1}
    assert snapshot(again) == snapshot(state)


def test_how_definitions_are_cut_into_records_plays_no_part() -> None:
    told = [*of("noisy", 14), *requests("calm", 8), *of("noisy", 2)]
    whole, cut = defined([told]), defined([[one] for one in told])
    assert cut[1] == whole[1]
    assert snapshot(cut[0]) == snapshot(whole[0])


def test_a_histogram_is_taken_whole_or_not_at_all() -> None:
    buckets = histogram("shop", (0.1, 0.2, 0.5, None))
    named = [msgspec.structs.replace(one, source="noisy", labels={"le": str(one.le)}) for one in buckets]
    _, found = defined([of("noisy", 9), named])
    assert found == {"taken": 13}
    _, found = defined([of("noisy", 10), named])
    assert found == {"taken": 10, "source_above_cap": 4}
