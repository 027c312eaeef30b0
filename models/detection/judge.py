"""Judge points against their series' own past: robust z, band, M of N, hysteresis; a row per series, vectorised.

The band is baseline ± max(sigma · scale, relative · |baseline|, absolute). A point beyond it in the bad direction is a hit; M hits
in N points open an anomaly, M calm points in N close it. While one is open the baseline stands still, so that a lasting fault
stays visible for as long as it lasts; a departure of mere context is let in after its release, slowly. What is not judged itself
(a median, rates of errors) stands still while harm is open on its instance, for the fault is in it too. A tail quantile has its
median for a witness: points where both are hits count as said; its own hits alone must last longer, for a tail also moves when a
few requests wait for a busy machine.
"""

# ruff: noqa: RUF009 - `column` returns a dataclass field

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.detection.baseline import median_and_scale
from models.detection.packed import Bools, Floats, Ints, Packed, column, widened
from schemas.config.detect import MAX_POINTS, DetectConfig, KindRule
from schemas.kinds import Direction

ORDINARY, SHIFTED, SILENT = 0, 1, 2
MAX_Z = 1000.0  # a flat series gives any z: beyond this it says no more
RELEASE_SLOWER = 4  # a departure that outlasts its release enters the baseline at a quarter of the pace
NEVER = -(2**62)
NO_RELEASE = 2**62

_SIGNS = {Direction.UP: 1, Direction.DOWN: -1, Direction.BOTH: 0, Direction.NONE: 0}


@dataclass
class Slots(Packed):
    """One row a derived series. Times are milliseconds of event time."""

    # how it is judged
    judged: Bools = column(np.bool_)
    opens: Bools = column(np.bool_)
    inst: Ints = column(np.int64, fill=-1)  # what it belongs to
    sign: Ints = column(np.int64)  # 1: up is bad, -1: down, 0: both
    relative: Floats = column(np.float64)
    absolute: Floats = column(np.float64, fill=1.0)
    enter_m: Ints = column(np.int64, fill=1)
    enter_mask: Ints = column(np.int64)
    alone_m: Ints = column(np.int64, fill=1)  # hits without the witness's
    alone_mask: Ints = column(np.int64)
    witness: Ints = column(np.int64, fill=-1)  # slot of the median; -1: needs none
    leave_m: Ints = column(np.int64, fill=1)
    leave_mask: Ints = column(np.int64)
    release: Ints = column(np.int64)
    settle: Ints = column(np.int64)  # so long after a restart of its instance
    settled: Ints = column(np.int64, fill=NEVER)  # nothing is judged or learned before
    # its past
    ring: Floats = column(np.float64, 0, fill=np.inf)
    filled: Ints = column(np.int64)
    place: Ints = column(np.int64)
    pushed: Ints = column(np.int64, fill=NEVER)
    base: Floats = column(np.float64)
    scale: Floats = column(np.float64)
    # its newest points, the newest last
    times: Ints = column(np.int64, MAX_POINTS)
    values: Floats = column(np.float64, MAX_POINTS)
    seen: Ints = column(np.int64)
    # its state
    z: Floats = column(np.float64)
    peak: Floats = column(np.float64)
    hits: Ints = column(np.int64)
    calms: Ints = column(np.int64)
    state: Ints = column(np.int64)
    opened: Ints = column(np.int64)
    said: Ints = column(np.int64)
    bad_at: Ints = column(np.int64, fill=NEVER)  # when it was last anomalous


def slots_for(config: DetectConfig) -> Slots:
    """Return an empty table whose rings are as wide as configured."""
    return widened(Slots(), ring=config.history_points)


def configure(slots: Slots, row: int, rule: KindRule, unit: str, direction: Direction, *, judged: bool) -> None:
    """Set how one series is judged; its past stays."""
    slots.judged[row] = judged
    slots.opens[row] = judged and rule.opens
    slots.sign[row] = _SIGNS[direction]
    slots.relative[row] = rule.relative
    slots.absolute[row] = rule.floor(unit)
    slots.enter_m[row], slots.leave_m[row] = rule.enter[0], rule.leave[0]
    slots.alone_m[row], slots.alone_mask[row] = rule.alone[0], (1 << rule.alone[1]) - 1
    slots.enter_mask[row], slots.leave_mask[row] = (1 << rule.enter[1]) - 1, (1 << rule.leave[1]) - 1
    slots.release[row] = NO_RELEASE if rule.release_s is None else round(rule.release_s * 1000)
    slots.settle[row] = round(rule.settle_s * 1000)


def step(slots: Slots, rows: Ints, at: Ints, value: Floats, config: DetectConfig) -> tuple[Ints, Ints]:
    """Judge one point for each of these rows (each at most once); return the rows whose anomaly opened, and closed.

    Args: rows (n,), at (n,) in ms, value (n,) finite. Changes `slots`.
    """
    sign, base = slots.sign[rows], slots.base[rows]
    warm = at >= slots.settled[rows]
    ready = slots.seen[rows] >= config.min_history
    width = spread(slots, rows, config)
    z = np.where(ready, np.clip((value - base) / (width / config.sigma), -MAX_Z, MAX_Z), 0.0)
    bad = np.where(sign == 0, np.abs(z), z * sign)
    over = ready & warm & (bad >= config.sigma)
    calm = bad < config.sigma * config.leave_share
    history = (1 << MAX_POINTS) - 1
    slots.hits[rows] = hits = ((slots.hits[rows] << 1) | over) & history
    slots.calms[rows] = calms = ((slots.calms[rows] << 1) | calm) & history
    _remember(slots, rows, at, value)
    state = slots.state[rows]
    silent = state == SILENT
    lasting = np.bitwise_count(_witnessed(slots, rows)) >= slots.enter_m[rows]
    lasting |= (slots.witness[rows] >= 0) & (np.bitwise_count(hits & slots.alone_mask[rows]) >= slots.alone_m[rows])
    opening = slots.judged[rows] & (state == ORDINARY) & over & lasting
    closing = silent | ((state == SHIFTED) & calm & (np.bitwise_count(calms & slots.leave_mask[rows]) >= slots.leave_m[rows]))
    _track_peak(slots, rows, z, bad, hits)
    free = warm & ~_frozen(slots, rows)
    _learn(slots, rows[free], at[free], np.where(ready, _clipped(value, base, width, sign), value)[free], config)
    slots.z[rows] = z
    opened, closed = rows[opening], rows[closing]
    slots.state[opened], slots.state[closed] = SHIFTED, ORDINARY
    slots.opened[opened] = [_onset(slots, row) for row in opened.tolist()]
    slots.hits[closed] = 0
    anomalous = opening | (state != ORDINARY)
    slots.bad_at[rows[anomalous]] = at[anomalous]
    return opened, closed


def spread(slots: Slots, rows: Ints, config: DetectConfig) -> Floats:
    """Return half the width of each row's band."""
    floor = np.maximum(slots.relative[rows] * np.abs(slots.base[rows]), slots.absolute[rows])
    wide: Floats = np.maximum(config.sigma * slots.scale[rows], floor)
    return wide


def _remember(slots: Slots, rows: Ints, at: Ints, value: Floats) -> None:
    slots.times[rows] = np.concatenate([slots.times[rows][:, 1:], at[:, None]], axis=1)
    slots.values[rows] = np.concatenate([slots.values[rows][:, 1:], value[:, None]], axis=1)
    slots.seen[rows] += 1


def _track_peak(slots: Slots, rows: Ints, z: Floats, bad: Floats, hits: Ints) -> None:
    """Keep the largest z in the bad direction since the departure began."""
    earlier = (hits >> 1) & slots.enter_mask[rows]
    before = np.where((earlier != 0) | (slots.state[rows] == SHIFTED), slots.peak[rows], 0.0)
    sign = slots.sign[rows]
    worse = bad > np.where(sign == 0, np.abs(before), before * sign)
    slots.peak[rows] = np.where(worse, z, before)


def _clipped(value: Floats, base: Floats, width: Floats, sign: Ints) -> Floats:
    """Let the good direction through as it is; what is beyond the band in the bad one counts as its edge."""
    low = np.where(sign == 1, -np.inf, base - width)
    high = np.where(sign == -1, np.inf, base + width)
    return np.clip(value, low, high)


def _frozen(slots: Slots, rows: Ints) -> Bools:
    """Tell which rows are not judged themselves while an anomaly that is harm is open on their instance."""
    frozen: Bools = ~slots.judged[rows]
    if frozen.any():
        inst = slots.inst[: slots.used]
        harmed = np.zeros(int(inst.max()) + 2, np.bool_)  # by instance; the last place is for none
        harmed[inst[slots.opens[: slots.used] & (slots.state[: slots.used] == SHIFTED)]] = True
        frozen &= harmed[slots.inst[rows]]
    return frozen


def _learn(slots: Slots, rows: Ints, at: Ints, value: Floats, config: DetectConfig) -> None:
    """Let points into the baseline: all until it is full, then at a pace; none while an anomaly is open, until its release."""
    pace = round(1000 * config.history_s / config.history_points)
    full = slots.filled[rows] >= config.history_points
    shifted = slots.state[rows] == SHIFTED
    due = at - slots.pushed[rows] >= np.where(shifted, RELEASE_SLOWER, 1) * pace
    released = at - slots.opened[rows] >= slots.release[rows]
    chosen = np.where(shifted, released & due, due | ~full)
    rows, value = rows[chosen], value[chosen]
    if not len(rows):
        return
    place = slots.place[rows]
    slots.ring[rows, place] = value
    slots.place[rows] = (place + 1) % config.history_points
    slots.filled[rows] = np.minimum(slots.filled[rows] + 1, config.history_points)
    slots.pushed[rows] = at[chosen]
    slots.base[rows], slots.scale[rows] = median_and_scale(slots.ring[rows], slots.filled[rows])


def _witnessed(slots: Slots, rows: Ints) -> Ints:
    """Return the newest hits that count fully: those of the witness's too, where there is one. Both get their points together."""
    witness = slots.witness[rows]
    hits: Ints = slots.hits[rows] & np.where(witness >= 0, slots.hits[witness], -1) & slots.enter_mask[rows]
    return hits


def _onset(slots: Slots, row: int) -> int:
    """Return the time of the first of the hits that opened the anomaly."""
    fully = int(_witnessed(slots, np.array([row]))[0])
    counted = fully if fully.bit_count() >= slots.enter_m[row] else int(slots.hits[row]) & int(slots.alone_mask[row])
    back = counted.bit_length()
    return int(slots.times[row, MAX_POINTS - back])
