"""From one window's raw series to points of derived series: values, rates, quantiles, error ratios, restarts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.detection.judge import NEVER
from models.detection.packed import Bools, Floats, Ints
from models.detection.series.increase import Folded
from models.detection.series.quantile import quantile
from models.detection.series.registry import Registry
from models.detection.series.tables import BUCKET, COUNTER, EVENTS, GAUGE, NONE
from schemas.config.detect import DetectConfig

MOST = 0.5  # of an instance's counters that begin anew together: the process did, not one counter's owner
LEAST_POOLED = 0.5  # of the wanted observations, once they were gathered for long enough

Points = tuple[Ints, Ints, Floats]  # slots, event times in ms, values: each slot at most once


def derive(registry: Registry, folded: Folded, end: int, active: int, config: DetectConfig) -> Points:
    """Return the points of one window that ends at `end`; `active` is the active clock. Changes histograms and instances."""
    units, raws = registry.units, registry.raws
    unit = raws.unit[folded.raw]
    kind = raws.type[folded.raw]
    gauge, counter = kind == GAUGE, (kind == COUNTER) & folded.known
    seconds = np.maximum(folded.span, 1) / 1000
    gauges = units.primary[unit[gauge]], folded.at[gauge], np.where(units.up[unit], folded.lowest, folded.mean)[gauge]
    rated = counter & ~units.restarts[unit]
    rates = units.primary[unit[rated]], folded.at[rated], (folded.increase / seconds)[rated]
    inst = units.inst[unit]
    touched = np.unique(inst)
    counted = np.zeros(registry.insts.used), np.zeros(registry.insts.used)
    np.add.at(counted[0], inst[counter & units.requests[unit]], folded.increase[counter & units.requests[unit]])
    np.add.at(counted[1], inst[counter & units.errors[unit]], folded.increase[counter & units.errors[unit]])
    histograms = _histograms(registry, folded, unit, kind, counted[0], config)
    _restart_events(registry, folded, unit, counter | ((kind == BUCKET) & folded.known), active)
    registry.insts.heard[touched] = active
    parts = [gauges, rates, *histograms, _ratios(registry, touched, *counted, end, config), _restarts(registry, touched, end, config)]
    slots, at, value = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return slots.astype(np.int64), at.astype(np.int64), value


def _histograms(registry: Registry, folded: Folded, unit: Ints, kind: Ints, requests: Floats, config: DetectConfig) -> list[Points]:
    """Gather bucket increases; give quantiles where enough observations were gathered, and the rate of each."""
    units, hists, raws = registry.units, registry.hists, registry.raws
    mine = np.flatnonzero(kind == BUCKET)
    if not len(mine):
        return []
    raw, of = folded.raw[mine], unit[mine]
    # One bucket that fell says that all of its histogram began anew: each then counts what it holds.
    began = np.zeros(units.used, np.bool_)
    began[of[folded.reset[mine]]] = True
    gain = np.where(began[of] & ~folded.reset[mine], folded.value[mine], folded.increase[mine])
    gain = np.where(folded.known[mine], gain, 0.0)
    np.add.at(hists.counts, (units.hist[of], raws.bucket[raw]), gain)
    top = raws.bucket[raw] == hists.buckets[units.hist[of]] - 1
    top_unit, top_gain, top_span, top_at = of[top], gain[top], folded.span[mine][top], folded.at[mine][top]
    hist = units.hist[top_unit]
    new = hists.since[hist] == NEVER
    hists.since[hist[new]] = top_at[new]
    known = folded.known[mine][top]
    rates = units.rate[top_unit[known]], top_at[known], (top_gain / (np.maximum(top_span, 1) / 1000))[known]
    counting = known & units.requests[top_unit] & ~registry.insts.counted[units.inst[top_unit]]
    np.add.at(requests, units.inst[top_unit[counting]], top_gain[counting])
    total = hists.counts[hist, hists.buckets[hist] - 1]
    enough = _pooled(total, config.quantile_count, top_at - hists.since[hist] >= config.pooled_s * 1000)
    chosen, when = top_unit[enough], top_at[enough]
    rows = units.hist[chosen]
    bounds, counts, buckets = hists.bounds[rows], hists.counts[rows], hists.buckets[rows]
    quantiles = [(slots[chosen], when, quantile(q, bounds, counts, buckets)) for q, slots in ((0.95, units.primary), (0.5, units.median))]
    done = enough | (top_at - hists.since[hist] >= config.pooled_s * 1000)
    tails = _tails(registry, top_unit[done], top_at[done], config)
    hists.counts[hist[done]] = 0.0
    hists.since[hist[done]] = NEVER
    return [*quantiles, tails, rates]


def _tails(registry: Registry, unit: Ints, at: Ints, config: DetectConfig) -> Points:
    """Gather what these histograms (each once) had behind their p95; give the p99 of those that have enough for that."""
    units, hists = registry.units, registry.hists
    wanted = (units.tail[unit] != NONE) & (config.tail_count > 0)
    unit, at = unit[wanted], at[wanted]
    hist = units.hist[unit]
    hists.tail[hist] += hists.counts[hist].astype(np.float32)
    hists.tail_since[hist] = np.where(hists.tail_since[hist] == NEVER, hists.since[hist], hists.tail_since[hist])
    longest = config.pooled_s * 1000 * config.tail_count / config.quantile_count
    waited = at - hists.tail_since[hist] >= longest
    enough = _pooled(hists.tail[hist, hists.buckets[hist] - 1], config.tail_count, waited)
    rows = hist[enough]
    value = quantile(0.99, hists.bounds[rows], hists.tail[rows].astype(np.float64), hists.buckets[rows])
    spent = hist[enough | waited]
    hists.tail[spent] = 0.0
    hists.tail_since[spent] = NEVER
    return units.tail[unit[enough]], at[enough], value


def _pooled(count: Floats | NDArray[np.float32], wanted: int, waited: Bools) -> Bools:
    """Tell where enough was gathered: all that is wanted, or half of it after the longest wait; each is judged by itself."""
    enough: Bools = (count >= wanted) | (waited & (count >= max(1.0, LEAST_POOLED * wanted)))
    return enough


def _ratios(registry: Registry, touched: Ints, requests: Floats, errors: Floats, end: int, config: DetectConfig) -> Points:
    insts = registry.insts
    rows = touched[insts.ratio[touched] != NONE]
    insts.error_n[rows] += errors[rows]
    insts.request_n[rows] += requests[rows] + np.where(insts.disjoint[rows], errors[rows], 0.0)
    new = insts.since[rows] == NEVER
    insts.since[rows[new]] = end
    waited = end - insts.since[rows] >= config.pooled_s * 1000
    enough = _pooled(insts.request_n[rows], config.ratio_count, waited)
    given, spent = rows[enough], rows[enough | waited]
    share = np.minimum(1.0, insts.error_n[given] / insts.request_n[given])
    insts.error_n[spent], insts.request_n[spent], insts.since[spent] = 0.0, 0.0, NEVER
    return insts.ratio[given], np.full(len(given), end, np.int64), share


def _restart_events(registry: Registry, folded: Folded, unit: Ints, counters: Bools, active: int) -> None:
    """Note instances whose counters began anew together, whose `up` fell, or that something else counted a restart of."""
    units, insts = registry.units, registry.insts
    inst = units.inst[unit]
    eligible = np.bincount(inst[counters & folded.had], minlength=insts.used)
    began = np.bincount(inst[counters & folded.had & folded.reset], minlength=insts.used)
    for row in np.flatnonzero((began > 0) & (began >= MOST * eligible)).tolist():
        at = int(folded.at[counters & folded.had & folded.reset & (inst == row)].min())
        _note(insts.resets, row, at, 1)
        insts.begun[row] = active
        mine = units.primary[: units.used][(units.inst[: units.used] == row) & (units.primary[: units.used] != NONE)]
        registry.slots.settled[mine] = at + registry.slots.settle[mine]
    told = np.flatnonzero(units.restarts[unit] & folded.known & (folded.increase > 0) & ~folded.reset)
    for i in told.tolist():
        _note(insts.resets, int(inst[i]), int(folded.at[i]), min(EVENTS, int(folded.increase[i])))
    up = units.up[unit]
    insts.up[inst[up]] = folded.value[up]
    for i in np.flatnonzero(up & (folded.falls > 0)).tolist():
        _note(insts.falls, int(inst[i]), int(folded.at[i]), min(EVENTS, int(folded.falls[i])))


def _note(events: Ints, row: int, at: int, times: int) -> None:
    events[row] = np.append(events[row], [at] * times)[-EVENTS:]


def _restarts(registry: Registry, touched: Ints, end: int, config: DetectConfig) -> Points:
    """Count restarts in the window; quick falls in succession count as a whole loop."""
    insts, rule = registry.insts, config.restarts
    rows = touched[insts.restarts[touched] != NONE]
    since = end - rule.window_s * 1000
    count = np.maximum((insts.resets[rows] > since).sum(axis=1), (insts.falls[rows] > since).sum(axis=1))
    quick = (insts.falls[rows] > end - rule.quick_window_s * 1000).sum(axis=1) >= rule.quick_count
    value = np.where(quick, np.maximum(count, rule.count), count).astype(np.float64)
    return insts.restarts[rows], np.full(len(rows), end, np.int64), value
