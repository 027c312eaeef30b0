"""Restarts of instances: counters that begin anew together, `up` that falls, and what counts restarts itself. Compiled code."""

from __future__ import annotations

from typing import Any

from models.compiled import compiled_bare
from models.detection.packed import Ints
from models.detection.series.points import point
from models.detection.series.tables import BUCKET, COUNTER, EVENTS, NONE

HALF_UP = 0.5  # what is up says 1, what is not 0
MOST = 0.5  # of an instance's counters that begin anew together: the process did, not one counter's owner


@compiled_bare
def note_restarts(tables: Any, folded: Any, active: int, touched: Ints, marks: Any) -> None:
    """Note instances whose counters began anew together, whose `up` fell, or that something else counted a restart of.

    Args: touched (n,), the instances that have news; marks (n,) of points.MARKS, theirs, blank.
    """
    for i in range(len(folded)):
        one = folded[i]
        if one.known and one.had and one.type in (COUNTER, BUCKET):
            own = marks[tables.scratch.touched[tables.units[one.unit].inst] - 1]
            own.had += 1
            if one.reset:
                own.restarted_at = one.at if own.restarted == 0 else min(own.restarted_at, one.at)
                own.restarted += 1
    for i in range(len(touched)):
        own = marks[i]
        if own.restarted > 0 and own.restarted >= MOST * own.had:
            _begin_anew(tables, touched[i], own.restarted_at, active)
    for i in range(len(folded)):
        one = folded[i]
        unit = tables.units[one.unit]
        if not (unit.up or unit.restarts):
            continue
        inst = tables.insts[unit.inst]
        if unit.up:
            inst.down = one.value < HALF_UP
        if inst.restarts == NONE:
            continue
        tally = tables.tallies[inst.tally]
        if unit.restarts and one.known and one.increase > 0 and not one.reset:
            _note(tally.resets, one.at, one.increase)
        if unit.up:
            _note(tally.falls, one.at, one.falls)


@compiled_bare
def _begin_anew(tables: Any, inst: int, at: int, active: int) -> None:
    """Note that the process of an instance began anew: until it has settled nothing of it is judged or learned."""
    one = tables.insts[inst]
    one.begun = active
    if one.restarts != NONE:
        _note(tables.tallies[one.tally].resets, at, 1)
    for row in range(tables.used_units):
        unit = tables.units[row]
        if unit.inst == inst and unit.primary != NONE:
            slot = tables.slots[unit.primary]
            slot.settled = at + tables.rules[slot.rule].settle


@compiled_bare
def _note(events: Ints, at: int, times: float) -> None:
    """Put a moment behind the others, so often, the newest last."""
    for _ in range(min(EVENTS, int(times))):
        for i in range(EVENTS - 1):
            events[i] = events[i + 1]
        events[EVENTS - 1] = at


@compiled_bare
def count_restarts(tables: Any, touched: Ints, end: int, points: Any, rule: Any) -> None:
    """Count restarts in the window; quick falls in succession count as a whole loop."""
    for row in touched:
        inst = tables.insts[row]
        if inst.restarts == NONE:
            continue
        tally = tables.tallies[inst.tally]
        resets = falls = quick = 0
        for i in range(EVENTS):
            resets += tally.resets[i] > end - rule.restarts_ms
            falls += tally.falls[i] > end - rule.restarts_ms
            quick += tally.falls[i] > end - rule.restarts_quick_ms
        count = max(resets, falls)
        if quick >= rule.restarts_quick_count:
            count = max(count, rule.restarts_count)
        point(points, inst.restarts, end, float(count))
