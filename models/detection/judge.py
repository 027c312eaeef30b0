"""Judge points against their series' own past: robust z, band, M of N, hysteresis; a row per series, as compiled code.

The band is baseline ± max(sigma · scale, relative · |baseline|, absolute), and what the anchor makes of it (band_kernel.py). A point
beyond it in the bad direction is a hit; M hits in N points open an anomaly, M calm points in N close it. While one is open the baseline
stands still, so that a lasting fault stays visible for as long as it lasts; a departure of mere context is let in after its release,
slowly. What is not judged itself (a median, rates of errors) stands still while harm is open on its instance, for the fault is in it
too. A tail quantile has its median for a witness: points where both are hits count as said; its own hits alone must last longer, for a
tail also moves when a few requests wait for a busy machine.
"""

# ruff: noqa: RUF009 - `column` returns a dataclass field

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.detection.band_kernel import Rule
from models.detection.judge_kernel import ORDINARY, SHIFTED, SILENT, judge
from models.detection.newest import set_times, set_values
from models.detection.packed import Bools, Floats, Ints, Numbers, Packed, Places, Singles, column, order_of, wide, widened
from models.detection.rules import Rules
from models.detection.series.tables import NEVER
from schemas.config.detect import MAX_POINTS, DetectConfig, KindRule
from schemas.kinds import Direction, Kind

KINDS = tuple(sorted(Kind))
PLACES = {kind: place for place, kind in enumerate(KINDS)}

_SIGNS = {Direction.UP: 1, Direction.DOWN: -1, Direction.BOTH: 0, Direction.NONE: 0}


@dataclass
class Slots(Packed):
    """One row a derived series. Times are milliseconds of event time."""

    # how it is judged
    judged: Bools = column(np.bool_)
    opens: Bools = column(np.bool_)
    inst: Numbers = column(np.int32, fill=-1)  # what it belongs to
    service: Numbers = column(np.int32, fill=-1, follows=True)  # number; -1: the row is free
    kind: Numbers = column(np.int8, follows=True)  # place in KINDS
    named: Numbers = column(np.int32, follows=True)  # by which of all namings it is called what it is
    sign: Numbers = column(np.int8)  # 1: up is bad, -1: down, 0: both
    rule: Numbers = column(np.uint16, follows=True)  # number in `rules`: no file says so much that there are more
    witness: Numbers = column(np.int32, fill=-1)  # slot of the median; -1: needs none
    settled: Ints = column(np.int64, fill=NEVER)  # nothing is judged or learned before
    held: Ints = column(np.int64, fill=NEVER)  # nothing is learned before: its service is out of the ordinary as a whole
    # its past
    ring: Singles = wide(np.float32, fill=np.inf)
    order: Places = order_of("ring")
    filled: Numbers = column(np.int16)
    place: Numbers = column(np.int16)
    pushed: Ints = column(np.int64, fill=NEVER)
    base: Floats = column(np.float64)
    scale: Floats = column(np.float64)
    anchor: Floats = column(np.float64)  # a slow mean of the base,
    anchor_scale: Floats = column(np.float32)  # of the scale,
    anchor_swing: Floats = column(np.float32)  # and of how far the base is from it
    anchored: Floats = column(np.float32)  # how much of them is known, in [0, 1)
    away: Floats = column(np.float32)  # ms, how long the base has been beyond its band, on the good side
    # its newest points, the newest last
    newest: Ints = column(np.int64)  # time of the newest,
    gaps: Numbers = column(np.int32, MAX_POINTS - 1)  # and between each two (newest.py)
    value: Floats = column(np.float64)  # of the newest,
    older: Singles = column(np.float32, MAX_POINTS - 1)  # and of those before it, which are told in seven digits
    seen: Numbers = column(np.int32)
    # its state
    z: Floats = column(np.float32)
    peak: Floats = column(np.float32)
    hits: Numbers = column(np.uint16)  # a bit for each of the newest points
    calms: Numbers = column(np.uint16)
    state: Numbers = column(np.int8)
    opened: Ints = column(np.int64)
    said: Ints = column(np.int64)
    bad_at: Ints = column(np.int64, fill=NEVER)  # when it was last anomalous

    rules: Rules = field(default_factory=Rules, compare=False)

    def load(self, packed: dict[str, Any]) -> None:
        """Take what `dump` gave; up to format 6 all values were of one width, up to format 5 each point had its time."""
        super().load(packed)
        if "values" in packed:
            dtype, shape, data = packed["values"]
            set_values(self, np.frombuffer(data, dtype).reshape(shape))
        if "times" in packed:
            dtype, shape, data = packed["times"]
            set_times(self, np.frombuffer(data, dtype).reshape(shape))


def slots_for(config: DetectConfig) -> Slots:
    """Return an empty table whose rings are as wide as configured."""
    return widened(Slots(), ring=config.history_points)


def configure(slots: Slots, row: int | Ints, rule: KindRule, unit: str, direction: Direction, *, judged: bool) -> None:
    """Set how one series, or each of several, is judged; its past stays."""
    slots.judged[row] = judged
    slots.opens[row] = judged and rule.opens
    slots.sign[row] = _SIGNS[direction]
    slots.rule[row] = slots.rules.number(rule, unit)


def rule_of(config: DetectConfig) -> Rule:
    half_life = 1000 * config.anchor_half_life_s
    return Rule(
        sigma=config.sigma,
        leave_share=config.leave_share,
        min_history=config.min_history,
        pace=round(1000 * config.history_s / config.history_points),
        anchor_rate=math.log(2) / half_life,
        anchor_most=round(half_life / config.history_points),
        anchor_bands=config.anchor_bands,
        dip=round(half_life / 2),
    )


def step(slots: Slots, rows: Ints, at: Ints, value: Floats, config: DetectConfig) -> tuple[Ints, Ints]:
    """Judge one point for each of these rows (each at most once); return the rows whose anomaly opened, and closed.

    Args: rows (n,), at (n,) in ms, value (n,) finite. Changes `slots`.
    """
    going = np.flatnonzero(slots.state[: slots.used] != ORDINARY)
    opened, closed = judge(slots.rows, slots.rules.rows, slots.ring, slots.order, going, rows, at, value, rule_of(config))
    return opened, closed


__all__ = ["KINDS", "NEVER", "ORDINARY", "PLACES", "SHIFTED", "SILENT", "Slots", "configure", "rule_of", "slots_for", "step"]
