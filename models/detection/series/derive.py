"""From one window's raw series to points of derived series: values, rates, quantiles, error ratios, restarts. Compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.compiled import compiled
from models.detection.packed import Bools, Floats, Ints
from models.detection.series.quantile import quantile
from models.detection.series.tables import BUCKET, COUNTER, EVENTS, GAUGE, NEVER, NONE

MOST = 0.5  # of an instance's counters that begin anew together: the process did, not one counter's owner
LEAST_POOLED = 0.5  # of the wanted observations, once they were gathered for long enough
MOST_POINTS = 6  # of one raw series in one window: the three quantiles and the rate of a histogram, its instance's ratio and restarts


class Tables(NamedTuple):
    """The tables as compiled code takes them: records, and beside them what is as wide as configuration says."""

    raws: Any
    units: Any
    hists: Any
    bounds: Floats
    counts: Floats
    tail: Any
    insts: Any
    slots: Any
    ring: Floats
    order: Any
    used_units: int


class Pooling(NamedTuple):
    """How many observations stand behind one point; times in ms."""

    quantile_count: int
    tail_count: int
    ratio_count: int
    longest: int  # so long they are gathered; then half as many will do
    restarts_ms: int
    restarts_quick_ms: int
    restarts_quick_count: int
    restarts_count: int


class Points(NamedTuple):
    """Points of derived series, each at most once; `filled` (1,) says how many."""

    slot: Ints
    at: Ints
    value: Floats
    filled: Ints


class Scratch(NamedTuple):
    """Marks that one window leaves as it finds them."""

    began: Bools  # by unit: its histogram began anew
    touched: Bools  # by instance
    had: Ints  # by instance: counters that had counted something,
    restarted: Ints  # those of them that began anew,
    restarted_at: Ints  # and when the first did


@compiled
def scratch_for(tables: Any) -> Any:
    insts = len(tables.insts)
    return Scratch(
        np.zeros(len(tables.units), np.bool_),
        np.zeros(insts, np.bool_),
        np.zeros(insts, np.int64),
        np.zeros(insts, np.int64),
        np.zeros(insts, np.int64),
    )


@compiled
def derive(tables: Any, folded: Any, end: int, active: int, rule: Any, scratch: Any) -> Any:
    """Return the points of one window that ends at `end`; `active` is the active clock. Changes histograms and instances.

    Args: tables (Tables), folded (n,) of increase.FOLDED, rule (Pooling), scratch (Scratch).
    """
    most = MOST_POINTS * len(folded)
    points = Points(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float64), np.zeros(1, np.int64))
    touched = _touch(tables, folded, active, scratch)
    _values(tables, folded, points)
    _rates(tables, folded, points)
    _histograms(tables, folded, points, rule, scratch)
    _note_restarts(tables, folded, active, touched, scratch)
    _ratios(tables, touched, end, points, rule)
    _restarts(tables, touched, end, points, rule)
    for inst in touched:
        scratch.touched[inst] = False
    return points


@compiled
def _point(points: Any, slot: int, at: int, value: float) -> None:
    count = points.filled[0]
    points.slot[count], points.at[count], points.value[count] = slot, at, value
    points.filled[0] = count + 1


@compiled
def _touch(tables: Any, folded: Any, active: int, scratch: Any) -> Ints:
    """Return the instances that had news, each once."""
    found, count = np.empty(len(folded), np.int64), 0
    for i in range(len(folded)):
        inst = tables.units[tables.raws[folded[i].raw].unit].inst
        if not scratch.touched[inst]:
            scratch.touched[inst] = True
            tables.insts[inst].heard = active
            found[count] = inst
            count += 1
    return np.sort(found[:count])


@compiled
def _values(tables: Any, folded: Any, points: Any) -> None:
    for i in range(len(folded)):
        one = folded[i]
        raw = tables.raws[one.raw]
        if raw.type == GAUGE:
            unit = tables.units[raw.unit]
            _point(points, unit.primary, one.at, one.lowest if unit.up else one.mean)


@compiled
def _rates(tables: Any, folded: Any, points: Any) -> None:
    """Give the rates of counters, and count requests and errors."""
    for i in range(len(folded)):
        one = folded[i]
        raw = tables.raws[one.raw]
        if raw.type == COUNTER and one.known:
            unit = tables.units[raw.unit]
            if not unit.restarts:
                _point(points, unit.primary, one.at, one.increase / (max(one.span, 1) / 1000))
            inst = tables.insts[unit.inst]
            if unit.requests:
                inst.request_n += one.increase
            if unit.errors:
                inst.error_n += one.increase
                if inst.disjoint:
                    inst.request_n += one.increase


@compiled
def _histograms(tables: Any, folded: Any, points: Any, rule: Any, scratch: Any) -> None:
    """Gather bucket increases; give quantiles where enough observations were gathered, and the rate of each."""
    tops = _gather(tables, folded, scratch)
    ready, done = np.zeros(len(tops), np.bool_), np.zeros(len(tops), np.bool_)
    for i in range(len(tops)):
        one, unit = folded[tops[i]], tables.units[tables.raws[folded[tops[i]].raw].unit]
        hist = tables.hists[unit.hist]
        waited = one.at - hist.since >= rule.longest
        ready[i] = _pooled(tables.counts[unit.hist, hist.buckets - 1], rule.quantile_count, waited)
        done[i] = ready[i] or waited
    for q in (0.95, 0.5):
        for i in range(len(tops)):
            if ready[i]:
                unit = tables.units[tables.raws[folded[tops[i]].raw].unit]
                value = quantile(q, tables.bounds[unit.hist], tables.counts[unit.hist], tables.hists[unit.hist].buckets)
                _point(points, unit.primary if q == 0.95 else unit.median, folded[tops[i]].at, value)
    for i in range(len(tops)):
        if done[i]:
            unit = tables.units[tables.raws[folded[tops[i]].raw].unit]
            if unit.tail != NONE and rule.tail_count > 0:
                _tail(tables, unit, folded[tops[i]].at, points, rule)
            tables.counts[unit.hist, :] = 0.0
            tables.hists[unit.hist].since = NEVER
    for i in range(len(tops)):
        one = folded[tops[i]]
        if one.known:
            unit = tables.units[tables.raws[one.raw].unit]
            gain = _gain(one, scratch.began[tables.raws[one.raw].unit])
            _point(points, unit.rate, one.at, gain / (max(one.span, 1) / 1000))
    for i in range(len(folded)):
        scratch.began[tables.raws[folded[i].raw].unit] = False


@compiled
def _gather(tables: Any, folded: Any, scratch: Any) -> Ints:
    """Add bucket increases to their histograms; return the places of those of the highest bounds, which count all observations."""
    tops, count = np.empty(len(folded), np.int64), 0
    for i in range(len(folded)):
        raw = tables.raws[folded[i].raw]
        if raw.type == BUCKET and folded[i].reset:
            scratch.began[raw.unit] = True
    for i in range(len(folded)):
        one = folded[i]
        raw = tables.raws[one.raw]
        if raw.type != BUCKET:
            continue
        unit = tables.units[raw.unit]
        hist = tables.hists[unit.hist]
        gain = _gain(one, scratch.began[raw.unit])
        tables.counts[unit.hist, raw.bucket] += gain
        if raw.bucket == hist.buckets - 1:
            tops[count] = i
            count += 1
            if hist.since == NEVER:
                hist.since = one.at
            inst = tables.insts[unit.inst]
            if one.known and unit.requests and not inst.counted:
                inst.request_n += gain
    return tops[:count]


@compiled
def _gain(one: Any, began: bool) -> float:
    """Return what a bucket counted. One that fell says that all of its histogram began anew: each then counts what it holds."""
    if not one.known:
        return 0.0
    return float(one.value if began and not one.reset else one.increase)


@compiled
def _tail(tables: Any, unit: Any, at: int, points: Any, rule: Any) -> None:
    """Gather what a histogram had behind its p95; give the p99 where that is enough."""
    hist, tail = tables.hists[unit.hist], tables.tail[unit.hist]
    for i in range(hist.buckets):
        tail[i] += np.float32(tables.counts[unit.hist, i])
    if hist.tail_since == NEVER:
        hist.tail_since = hist.since
    waited = at - hist.tail_since >= rule.longest * rule.tail_count / rule.quantile_count
    enough = _pooled(float(tail[hist.buckets - 1]), rule.tail_count, waited)
    if enough:
        _point(points, unit.tail, at, quantile(0.99, tables.bounds[unit.hist], tail.astype(np.float64), hist.buckets))
    if enough or waited:
        tail[:] = 0.0
        hist.tail_since = NEVER


@compiled
def _pooled(count: float, wanted: int, waited: bool) -> bool:
    """Tell whether enough was gathered: all that is wanted, or half of it after the longest wait; each is judged by itself."""
    return bool(count >= wanted or (waited and count >= max(1.0, LEAST_POOLED * wanted)))


@compiled
def _ratios(tables: Any, touched: Ints, end: int, points: Any, rule: Any) -> None:
    for row in touched:
        inst = tables.insts[row]
        if inst.ratio == NONE:
            inst.error_n = inst.request_n = 0.0
            continue
        if inst.since == NEVER:
            inst.since = end
        waited = end - inst.since >= rule.longest
        enough = _pooled(inst.request_n, rule.ratio_count, waited)
        if enough:
            _point(points, inst.ratio, end, min(1.0, inst.error_n / inst.request_n))
        if enough or waited:
            inst.error_n = inst.request_n = 0.0
            inst.since = NEVER


@compiled
def _note_restarts(tables: Any, folded: Any, active: int, touched: Ints, scratch: Any) -> None:
    """Note instances whose counters began anew together, whose `up` fell, or that something else counted a restart of."""
    for i in range(len(folded)):
        one = folded[i]
        raw = tables.raws[one.raw]
        if one.known and one.had and raw.type in (COUNTER, BUCKET):
            inst = tables.units[raw.unit].inst
            scratch.had[inst] += 1
            if one.reset:
                first = scratch.restarted[inst] == 0
                scratch.restarted_at[inst] = one.at if first else min(scratch.restarted_at[inst], one.at)
                scratch.restarted[inst] += 1
    for inst in touched:
        if scratch.restarted[inst] > 0 and scratch.restarted[inst] >= MOST * scratch.had[inst]:
            _begin_anew(tables, inst, scratch.restarted_at[inst], active)
        scratch.had[inst] = scratch.restarted[inst] = 0
    for i in range(len(folded)):
        one = folded[i]
        unit = tables.units[tables.raws[one.raw].unit]
        if unit.restarts and one.known and one.increase > 0 and not one.reset:
            _note(tables.insts[unit.inst].resets, one.at, one.increase)
        if unit.up:
            tables.insts[unit.inst].up = one.value
            _note(tables.insts[unit.inst].falls, one.at, one.falls)


@compiled
def _begin_anew(tables: Any, inst: int, at: int, active: int) -> None:
    """Note that the process of an instance began anew: until it has settled nothing of it is judged or learned."""
    _note(tables.insts[inst].resets, at, 1)
    tables.insts[inst].begun = active
    for row in range(tables.used_units):
        unit = tables.units[row]
        if unit.inst == inst and unit.primary != NONE:
            slot = tables.slots[unit.primary]
            slot.settled = at + slot.settle


@compiled
def _note(events: Ints, at: int, times: float) -> None:
    """Put a moment behind the others, so often, the newest last."""
    for _ in range(min(EVENTS, int(times))):
        events[:-1] = events[1:].copy()
        events[-1] = at


@compiled
def _restarts(tables: Any, touched: Ints, end: int, points: Any, rule: Any) -> None:
    """Count restarts in the window; quick falls in succession count as a whole loop."""
    for row in touched:
        inst = tables.insts[row]
        if inst.restarts == NONE:
            continue
        resets = falls = quick = 0
        for i in range(EVENTS):
            resets += inst.resets[i] > end - rule.restarts_ms
            falls += inst.falls[i] > end - rule.restarts_ms
            quick += inst.falls[i] > end - rule.restarts_quick_ms
        count = max(resets, falls)
        if quick >= rule.restarts_quick_count:
            count = max(count, rule.restarts_count)
        _point(points, inst.restarts, end, float(count))
