"""Snapshots of the format before, of which rings and times were wider and every instance had room for what is counted of it, go on as they were."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from models.detection.newest import times_of
from models.detection.series.tables import NEVER, NONE
from models.detection.state import DetectState, pack, restore, snapshot, unpack
from schemas.kinds import Kind
from streams.detect import stage
from streams.harness.stage import Output
from tests.unit.detect_cart import MEMORY, REQUESTS, UP
from tests.unit.detect_feed import CONFIG, Log, each_second, read, series
from tests.unit.test_detect_restart import crashing

FREE = series("shop", Kind.POOL)  # of an instance that nothing tells a restart of
CRASHES = crashing(65, 6)


def log() -> Log:
    return each_second(120, lambda i: [*CRASHES(i), (MEMORY, 5e7), (FREE, 0.3 if i < 100 else 0.9)], FREE, REQUESTS, UP, MEMORY)


def column(values: Any) -> tuple[str, list[int], bytes]:
    return values.dtype.str, list(values.shape), values.tobytes()


def before(state: DetectState) -> bytes:
    """Return the snapshot that a release before would have written."""
    registry = state.registry
    image = msgspec.msgpack.decode(unpack(snapshot(state)), strict=False)
    slots, insts, own = registry.slots, registry.insts, registry.insts.restarts[: registry.insts.used] != NONE
    tables = image["tables"]
    del tables["tallies"], tables["slots"]["newest"], tables["slots"]["gaps"], tables["insts"]["tally"], tables["insts"]["down"]
    tables["insts"]["up"] = column(np.where(insts.down[: insts.used], 0.0, 1.0))
    image["defs"], image["metas"] = dict(registry.defs), dict(registry.metas)
    tables["slots"] |= {"ring": column(slots.ring[: slots.used].astype(np.float64)), "times": column(times_of(slots))}
    for name in ("z", "peak", "seen", "hits", "calms"):
        values = getattr(slots, name)[: slots.used]
        tables["slots"][name] = column(values.astype({"z": np.float64, "peak": np.float64, "seen": np.int64}.get(name, np.int32)))
    for name, blank in (("request_n", 0.0), ("error_n", 0.0), ("since", NEVER), ("resets", NEVER), ("falls", NEVER)):
        tallies = getattr(registry.tallies, name)
        values = np.full((insts.used, *tallies.shape[1:]), blank, tallies.dtype)
        values[own] = tallies[insts.tally[: insts.used][own]]
        tables["insts"][name] = column(values)
    return pack(image)


def told(state: DetectState, records: list[Any]) -> list[Output]:
    one = stage(CONFIG)
    return [output for record in records for output in one.apply(state, record, record.timestamp)]


@pytest.mark.parametrize("cut", [40, 80, 90, 110])
def test_a_snapshot_of_the_format_before_goes_on_as_it_would_have(cut: int) -> None:
    records = log().records
    state = restore(None, CONFIG)
    told(state, records[:cut])
    old = restore(before(state), CONFIG)
    assert snapshot(old) == snapshot(restore(snapshot(state), CONFIG))
    assert old.registry.insts.down.any() == (cut == 90)
    rest = told(state, records[cut:])
    assert told(old, records[cut:]) == rest
    assert any(one.anomalous for one in read(rest) if hasattr(one, "anomalous"))
    assert (old.registry.insts.used, old.registry.tallies.used) == (2, 1)
