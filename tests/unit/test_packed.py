"""Rows that a table has ahead were never made ready: whatever stands in them, nothing of it is read."""

from __future__ import annotations

import numpy as np

from models.detection.state import DetectState, restore, snapshot
from schemas.kinds import Kind
from streams.detect import stage
from streams.harness.stage import Output
from tests.unit.detect_feed import CONFIG, T0, Log, counter, histogram, series

SECONDS, LATER = 75, 33  # the second when one more service is defined: at the next moment of all its kinds are seen together


def log() -> Log:
    first, second = ([series(name, Kind.POOL), counter(name, Kind.REQUESTS)] for name in ("cart", "till"))
    many = histogram("till", [0.1, 0.5, None])
    found = Log().define(*first)
    for i in range(SECONDS):
        if i == LATER:
            found.define(*second, *many)
        told = [*first, *(second if i >= LATER else [])]
        values = [*zip(told, [0.9 if i >= 60 else 0.1, 5.0 * i] * 2, strict=False)]
        values += [(one, float(i * (place + 1))) for place, one in enumerate(many) if i >= LATER]
        found.rows([(one, T0 + 1000 * i, value) for one, value in values])
    return found


def write_beyond(state: DetectState) -> None:
    registry = state.registry
    for table in (registry.raws, registry.units, registry.hists, registry.insts, registry.slots, registry.pasts, registry.tallies):
        assert len(table.rows) > table.used or not table.used
        rest = table.rows[table.used :]
        rest.view(np.uint8)[:] = 1  # judged, opens; of a time some thousand years
        table._ready = min(table._ready, table.used)  # else it counts on what it has written itself


def said(*, beyond: bool) -> tuple[list[list[Output]], list[int], bytes]:
    one = stage(CONFIG)
    state, outputs, together = restore(None, CONFIG), [], []
    for record in log().records:
        if beyond:
            write_beyond(state)
        outputs.append(one.apply(state, record, record.timestamp))
        together.append(state.registry.pasts.count)
    return outputs, together, snapshot(state)


def test_what_stands_in_rows_that_are_not_in_use_changes_nothing() -> None:
    clean, dirty = said(beyond=False), said(beyond=True)
    assert any(clean[0]), "something is said"
    assert dirty == clean
