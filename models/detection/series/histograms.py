"""Histograms: bucket increases are gathered until a quantile stands on enough observations. Compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled
from models.detection.packed import Ints
from models.detection.series.points import point, pooled
from models.detection.series.quantile import quantile
from models.detection.series.tables import BUCKET, NEVER, NONE


@compiled
def gather_histograms(tables: Any, folded: Any, points: Any, rule: Any, scratch: Any) -> None:
    """Gather bucket increases; give quantiles where enough observations were gathered, and the rate of each."""
    tops = _gather(tables, folded, scratch)
    ready, done = np.zeros(len(tops), np.bool_), np.zeros(len(tops), np.bool_)
    for i in range(len(tops)):
        one, unit = folded[tops[i]], tables.units[tables.raws[folded[tops[i]].raw].unit]
        hist = tables.hists[unit.hist]
        waited = one.at - hist.since >= rule.longest
        ready[i] = pooled(tables.counts[unit.hist, hist.buckets - 1], rule.quantile_count, waited)
        done[i] = ready[i] or waited
    for q in (0.95, 0.5):
        for i in range(len(tops)):
            if ready[i]:
                unit = tables.units[tables.raws[folded[tops[i]].raw].unit]
                value = quantile(q, tables.bounds[unit.hist], tables.counts[unit.hist], tables.hists[unit.hist].buckets)
                point(points, unit.primary if q == 0.95 else unit.median, folded[tops[i]].at, value)
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
            point(points, unit.rate, one.at, gain / (max(one.span, 1) / 1000))
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
    enough = pooled(float(tail[hist.buckets - 1]), rule.tail_count, waited)
    if enough:
        point(points, unit.tail, at, quantile(0.99, tables.bounds[unit.hist], tail.astype(np.float64), hist.buckets))
    if enough or waited:
        tail[:] = 0.0
        hist.tail_since = NEVER
