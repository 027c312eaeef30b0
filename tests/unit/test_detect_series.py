"""What series mean is not lost: through silences, makings of room, changed definitions, restarts."""

from __future__ import annotations

import msgspec
import numpy as np

from models.detection.state import restore, snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import Phase
from streams.detect import stage
from streams.detect_metrics import DEFINITIONS, ROWS
from tests.unit.detect_feed import CONFIG, T0, Log, each_second, fold, histogram, outputs, phases, series

A = series("a", Kind.POOL, unit="ratio")
B = series("b", Kind.POOL, unit="ratio")
QUIET = CONFIG.model_copy(update={"health_s": 300.0, "health_watched_s": 300.0})


def unknown() -> float:
    return float(ROWS.labels("other", "unknown_series")._value.get())


def seldom(i: int) -> bool:
    """Seen too rarely before it is gone to be missed."""
    return i < 5 or i >= 120


def test_a_series_back_after_it_was_forgotten_is_known_and_judged() -> None:
    config = QUIET.model_copy(update={"forget_s": 60.0})
    before = unknown()
    log = each_second(300, lambda i: [(B, 0.1), *([(A, 0.9 if i >= 250 else 0.1)] if seldom(i) else [])], A, B)
    (opened,) = phases(log, Phase.OPENED, config)
    assert (opened.evidence.service, (opened.at - T0) // 1000) == ("a", 253)
    assert unknown() == before


def test_a_histogram_back_after_it_was_forgotten_has_all_its_buckets() -> None:
    config = QUIET.model_copy(update={"forget_s": 60.0})
    buckets = histogram("a", (0.1, 0.2, None))

    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(B, 0.1), *([(one, 10.0 * i) for one in reversed(buckets)] if seldom(i) else [])]

    log = each_second(123, second, *buckets, B)
    rest, log.records = log.records[101:], log.records[:101]
    gone = fold(log, config)
    assert (gone.registry.raws.count, gone.registry.series, gone.registry.hists.count) == (1, 4, 0)
    again = restore(snapshot(gone), config)
    one = stage(config)
    for record in rest:
        one.apply(again, record, record.timestamp)
    assert again.registry.hists.buckets[0] == 3
    assert again.registry.asleep == {}


def test_a_series_with_rows_that_wait_is_not_forgotten_and_no_other_gets_its_rows() -> None:
    config = QUIET.model_copy(update={"forget_s": 60.0, "out_of_order_s": 30.0})
    new = series("c", Kind.MEMORY, unit="bytes")
    log = Log().define(A, B)
    for i in range(140):
        log.rows([(B, T0 + 1000 * i, 1.0), *([(A, T0 + 1000 * i, 777.0)] if i < 5 or i >= 75 else [])])
        if i == 100:
            log.define(new)
    registry = fold(log, config).registry
    seen = {registry.metas[slot].service: int(registry.slots.seen[slot]) for slot in registry.metas}
    assert seen["c"] == 0
    assert seen["a"] == 5 + 140 - 75 - 31


def test_rows_of_one_batch_that_come_after_their_series_was_forgotten_in_it_are_its_own() -> None:
    config = QUIET.model_copy(update={"forget_s": 60.0})
    rows = [(B, T0 + 1000 * i, 1.0) for i in range(100)]
    back = [(one, T0 + 1000 * i, 0.5) for i in range(100, 110) for one in (A, B)]
    logs = [Log().define(A, B).rows([(A, T0, 0.1)]) for _ in range(2)]
    logs[0].rows([*rows, *back])
    logs[1].rows(rows).rows(back[:5]).rows(back[5:])
    states = [fold(log, config) for log in logs]
    assert snapshot(states[0]) == snapshot(states[1])
    slot = int(states[0].registry.units.primary[states[0].registry.raws.unit[states[0].registry.index[A.id]]])
    assert states[0].registry.slots.value[slot] == 0.5


def test_rows_that_wait_when_their_series_is_redefined_go_to_no_other() -> None:
    buckets, new = histogram("a", (0.1, None)), series("c", Kind.MEMORY, unit="bytes")
    log = each_second(20, lambda i: [(one, 10.0 * i) for one in buckets], *buckets)
    log.define(msgspec.structs.replace(buckets[0], unit="ms"), new)
    log.rows([(new, T0 + 40_000, 5.0)]).rows([(new, T0 + 42_000, 5.0)])
    state = fold(log)
    (slot,) = (slot for slot, meta in state.registry.metas.items() if meta.service == "c")
    assert (int(state.registry.slots.seen[slot]), state.registry.slots.value[slot]) == (1, 5.0)


def full(config: DetectConfig, silent: int) -> Log:
    """As many series as there is room for, so many of which have been silent for long."""
    old = [series(f"old{n:02}", Kind.MEMORY, unit="bytes") for n in range(config.max_series)]
    return each_second(60, lambda i: [(one, 1e7) for one in (old if i < 5 else old[silent:])], *old)


def test_the_longest_silent_series_make_room_for_new_ones_and_are_counted() -> None:
    config = QUIET.model_copy(update={"max_series": 20})
    new = [series(f"new{n}", Kind.MEMORY) for n in range(2)]
    registry = fold(full(config, 5).define(*new), config).registry
    services = {found.service for found in registry.defs.values()}
    assert {one.service for one in new} <= services
    assert {f"old{n:02}" for n in range(5, 20)} <= services


def test_where_all_series_are_alive_new_ones_are_refused_and_counted() -> None:
    config = QUIET.model_copy(update={"max_series": 20})
    before = DEFINITIONS.labels("other", "series_above_cap")._value.get()
    registry = fold(full(config, 0).define(*(series(f"new{n}", Kind.MEMORY) for n in range(2))), config).registry
    assert {found.service[:3] for found in registry.defs.values()} == {"old"}
    assert DEFINITIONS.labels("other", "series_above_cap")._value.get() == before + 2


def test_forgotten_series_count_towards_the_cap_and_go_first() -> None:
    config = QUIET.model_copy(update={"max_series": 20, "forget_s": 30.0})
    state = fold(full(config, 5), config)
    assert (state.registry.raws.count, state.registry.series) == (15, 20)
    one = stage(config)
    record = Log().define(series("new", Kind.MEMORY)).records[0]
    one.apply(state, record, record.timestamp)
    assert (state.registry.raws.count, state.registry.series) == (16, 20)
    assert [members[0].service for members in state.registry.dormant.values()] == ["old01", "old02", "old03", "old04"]


def test_the_bucket_of_infinity_always_has_its_place() -> None:
    config = CONFIG.model_copy(update={"max_buckets": 8})
    bounds = [round(0.1 * n, 1) for n in range(1, 20)]
    for order in ((*bounds, None), (None, *bounds)):
        hists = fold(Log().define(*histogram("a", order)), config).registry.hists
        assert hists.buckets[0] == 8
        assert np.isinf(hists.bounds[0, 7])


def test_a_gauge_in_bytes_per_second_has_the_floor_of_its_own_unit_before_and_after_a_restart() -> None:
    disk = series("a", Kind.SATURATION, metric="disk_write", unit="bytes/s")
    state = fold(Log().define(disk))
    again = restore(snapshot(state), CONFIG)
    floors = [slots.rules.rows[slots.rule[0]]["absolute"] for slots in (again.registry.slots, state.registry.slots)]
    assert floors[0] == floors[1] == CONFIG.kinds[Kind.SATURATION].floor("bytes/s")


def test_a_definition_told_again_changes_nothing_whether_its_series_is_awake_or_not() -> None:
    config = QUIET.model_copy(update={"forget_s": 60.0})
    log = each_second(100, lambda i: [(B, 0.1), *([(A, 0.1)] if seldom(i) else [])], A, B)
    again = each_second(100, lambda i: [(B, 0.1), *([(A, 0.1)] if seldom(i) else [])], A, B).define(A, B)
    assert outputs(again.records, config) == outputs(log.records, config)
    assert fold(again, config).registry.raws.count == 2
