"""The judging of points as compiled code: what judge.py describes, a series at a time.

A second pass is for tails alone: their witness gets its point in the same window. To go through all series twice is to fetch them twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled, compiled_bare
from models.detection.band_kernel import band_of, learn_slowly
from models.detection.baseline import median_and_scale, push
from models.detection.newest import note_point, time_of
from models.detection.ordered_kernel import place_of
from models.detection.packed import Floats, Ints, Singles
from models.detection.series.tables import NONE
from schemas.config.detect import MAX_POINTS

ORDINARY, SHIFTED, SILENT = 0, 1, 2
MAX_Z = 1000.0  # a flat series gives any z: beyond this it says no more
RELEASE_SLOWER = 4  # a departure that outlasts its release enters the baseline at a quarter of the pace
_HISTORY = (1 << MAX_POINTS) - 1
_STAYS, _OPENS, _CLOSES, _WAITS = range(4)  # what is found of a point; the last: its witness is waited for


@compiled_bare
def bits(number: int) -> int:
    """Count the ones."""
    count = 0
    while number:
        number &= number - 1
        count += 1
    return count


@compiled
def judge(
    slots: Any, rules: Any, ring: Singles, order: Any, going: Ints, rows: Ints, at: Ints, value: Floats, rule: Any
) -> tuple[Ints, Ints]:
    """Judge one point for each of these rows, each at most once; return those whose anomaly opened, and closed. Changes `slots`.

    Args: slots, rules, ring and order, of the table; going, the rows with an open anomaly; rows (n,), at (n,) in ms,
    value (n,) finite; rule (Rule).
    """
    opened, closed, harmed = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64), np.empty(len(going), np.int64)
    harmed = np.sort(harmed[: _harmed(slots, going, harmed)])
    found = np.empty(len(rows), np.uint8)
    opens, closes = _judge(slots, rules, ring, order, harmed, rows, at, value, rule, found, opened, closed)
    return opened[:opens], closed[:closes]


@compiled_bare
def _judge(
    slots: Any,
    rules: Any,
    ring: Singles,
    order: Any,
    harmed: Ints,
    rows: Ints,
    at: Ints,
    value: Floats,
    rule: Any,
    found: Any,
    opened: Ints,
    closed: Ints,
) -> tuple[int, int]:
    """Put the rows whose anomaly opened, and closed, into the arrays for them; return how many.

    `harmed`: instances in rising order. `found` (n,): what is found of each point.
    """
    for i in range(len(rows)):
        row, one = rows[i], slots[rows[i]]
        own = rules[one.rule]
        _note(one, own, at[i], value[i], rule)
        found[i] = _WAITS if one.witness >= 0 else _settle(slots, one, own, ring[row], order[row], harmed, at[i], value[i], rule)
    opens = closes = 0
    for i in range(len(rows)):
        row = rows[i]
        if found[i] == _WAITS:
            found[i] = _settle(slots, slots[row], rules[slots[row].rule], ring[row], order[row], harmed, at[i], value[i], rule)
        if found[i] == _OPENS:
            opened[opens] = row
            opens += 1
        elif found[i] == _CLOSES:
            closed[closes] = row
            closes += 1
    _turn(slots, rules, opened[:opens], closed[:closes])
    return opens, closes


@compiled_bare
def _settle(slots: Any, one: Any, own: Any, ring: Singles, order: Any, harmed: Ints, at: int, value: float, rule: Any) -> int:
    """Say what a point that is noted brings, and learn from it."""
    found = _OPENS if _opens(slots, one, own) else _CLOSES if _closes(one, own) else _STAYS
    if found == _OPENS or one.state != ORDINARY:
        one.bad_at = at
    _track_peak(one, own)
    if at >= max(one.settled, one.held) and (one.judged or place_of(harmed, one.inst) == NONE):
        _learn(one, own, ring, order, at, value, rule)
    return found


@compiled_bare
def badness(one: Any) -> float:
    """Return the newest z in the bad direction."""
    sign, z = one.sign, one.z
    return float(abs(z) if sign == 0 else z * sign)


@compiled_bare
def _note(one: Any, own: Any, at: int, value: float, rule: Any) -> None:
    """Take note of a point: z, whether it is a hit, whether it is calm."""
    ready = one.seen >= rule.min_history
    z = band_of(one, own, value, rule)[0] if ready else 0.0
    one.z = min(max(z, -MAX_Z), MAX_Z)
    bad = badness(one)
    over = ready and at >= one.settled and bad >= rule.sigma
    one.hits = ((one.hits << 1) | over) & _HISTORY
    one.calms = ((one.calms << 1) | (bad < rule.sigma * rule.leave_share)) & _HISTORY
    note_point(one, at, value)
    one.seen += 1


@compiled_bare
def _harmed(slots: Any, going: Ints, found: Ints) -> int:
    """Put the instances on which an anomaly that is harm is open into `found`; return how many there are."""
    count = 0
    for row in going:
        if slots[row].opens and slots[row].state == SHIFTED:
            found[count] = slots[row].inst
            count += 1
    return count


@compiled_bare
def _witnessed(slots: Any, one: Any, own: Any) -> int:
    """Return the newest hits that count fully: those of the witness's too, where there is one. Both get their points together."""
    return int(one.hits & (slots[one.witness].hits if one.witness >= 0 else -1) & own.enter_mask)


@compiled_bare
def _opens(slots: Any, one: Any, own: Any) -> bool:
    if not (one.judged and one.state == ORDINARY and one.hits & 1):
        return False
    alone = one.witness >= 0 and bits(one.hits & own.alone_mask) >= own.alone_m
    return bool(alone or bits(_witnessed(slots, one, own)) >= own.enter_m)


@compiled_bare
def _closes(one: Any, own: Any) -> bool:
    if one.state != SHIFTED:
        return bool(one.state == SILENT)
    return bool(one.calms & 1 and bits(one.calms & own.leave_mask) >= own.leave_m)


@compiled_bare
def _track_peak(one: Any, own: Any) -> None:
    """Keep the largest z in the bad direction since the departure began."""
    going = (one.hits >> 1) & own.enter_mask != 0 or one.state == SHIFTED
    before = one.peak if going else 0.0
    sign = one.sign
    worse = badness(one) > (abs(before) if sign == 0 else before * sign)
    one.peak = one.z if worse else before


@compiled_bare
def _learn(one: Any, own: Any, ring: Singles, order: Any, at: int, value: float, rule: Any) -> None:
    """Let a point into the baseline: all until it is full, then at a pace; none while an anomaly is open, until its release.

    The good direction is let in as it is; what is beyond the band in the bad one counts as its edge.
    """
    points = len(ring)
    shifted = one.state == SHIFTED
    due = at - one.pushed >= (RELEASE_SLOWER if shifted else 1) * rule.pace
    if not (due and at - one.opened >= own.release if shifted else due or one.filled < points):
        return
    if one.seen > rule.min_history:
        sign = one.sign
        _, _, low, high = band_of(one, own, value, rule)
        if sign != 1:
            value = max(value, low)
        if sign != -1:
            value = min(value, high)
    push(ring, order, one.place, value)
    one.place = (one.place + 1) % points
    one.filled = min(one.filled + 1, points)
    one.base, one.scale = median_and_scale(ring, order, one.filled)
    if one.filled == points:
        learn_slowly(one, own, at - one.pushed, rule)
    one.pushed = at


@compiled_bare
def _turn(slots: Any, rules: Any, opened: Ints, closed: Ints) -> None:
    for row in opened:
        slots[row].opened = _onset(slots, slots[row], rules[slots[row].rule])
        slots[row].state = SHIFTED
    for row in closed:
        slots[row].hits = 0
        slots[row].state = ORDINARY


@compiled_bare
def _onset(slots: Any, one: Any, own: Any) -> int:
    """Return the time of the first of the hits that opened the anomaly."""
    fully = _witnessed(slots, one, own)
    counted = fully if bits(fully) >= own.enter_m else one.hits & own.alone_mask
    back = 0
    while counted:
        counted >>= 1
        back += 1
    return time_of(one, MAX_POINTS - back)
