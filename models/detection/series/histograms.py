"""Histograms: bucket increases are gathered until a quantile stands on enough observations. Compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled_bare
from models.detection.packed import Ints
from models.detection.series.points import point, pooled
from models.detection.series.quantile import quantile
from models.detection.series.tables import BUCKET, NEVER, NONE


@compiled_bare
def gather_histograms(tables: Any, folded: Any, points: Any, rule: Any, scratch: Any, tops: Ints) -> None:
    """Gather bucket increases; give quantiles where enough observations were gathered, and the rate of each. Changes `tops` (n,)."""
    tops = tops[: _gather(tables, folded, scratch, tops)]
    for q in (0.95, 0.5):
        for top in tops:
            unit = tables.units[folded[top].unit]
            hist = tables.hists[unit.hist]
            if _ready(tables, folded[top], unit, hist, rule):
                value = quantile(q, tables.bounds[unit.hist], tables.counts[unit.hist], hist.buckets)
                point(points, unit.primary if q == 0.95 else unit.median, folded[top].at, value)
    for top in tops:
        unit = tables.units[folded[top].unit]
        hist = tables.hists[unit.hist]
        if _waited(folded[top], hist, rule) or _ready(tables, folded[top], unit, hist, rule):
            if unit.tail != NONE and rule.tail_count > 0:
                _tail(tables, unit, folded[top].at, points, rule)
            tables.counts[unit.hist, :] = 0.0
            hist.since = NEVER
    for top in tops:
        one = folded[top]
        if one.known:
            point(points, tables.units[one.unit].rate, one.at, _gain(one, scratch.began[one.unit]) / (max(one.span, 1) / 1000))
    for i in range(len(folded)):  # where no highest bound came, too: a flag that is left would be of the next window
        if folded[i].type == BUCKET:
            scratch.began[folded[i].unit] = False


@compiled_bare
def _waited(one: Any, hist: Any, rule: Any) -> bool:
    return bool(one.at - hist.since >= rule.longest)


@compiled_bare
def _ready(tables: Any, one: Any, unit: Any, hist: Any, rule: Any) -> bool:
    """Tell whether enough observations were gathered."""
    return pooled(tables.counts[unit.hist, hist.buckets - 1], rule.quantile_count, _waited(one, hist, rule))


@compiled_bare
def _gather(tables: Any, folded: Any, scratch: Any, tops: Ints) -> int:
    """Add bucket increases to their histograms; put the places of those of the highest bounds, which count all, into `tops`."""
    count = 0
    for i in range(len(folded)):
        if folded[i].type == BUCKET and folded[i].reset:
            scratch.began[folded[i].unit] = True
    for i in range(len(folded)):
        one = folded[i]
        if one.type != BUCKET:
            continue
        bucket, unit = tables.raws[one.raw].bucket, tables.units[one.unit]
        hist = tables.hists[unit.hist]
        gain = _gain(one, scratch.began[one.unit])
        tables.counts[unit.hist, bucket] += gain
        if bucket == hist.buckets - 1:
            tops[count] = i
            count += 1
            if hist.since == NEVER:
                hist.since = one.at
            inst = tables.insts[unit.inst]
            if one.known and unit.requests and not inst.counted and inst.ratio != NONE:
                tables.tallies[inst.tally].request_n += gain
    return count


@compiled_bare
def _gain(one: Any, began: bool) -> float:
    """Return what a bucket counted. One that fell says that all of its histogram began anew: each then counts what it holds."""
    if not one.known:
        return 0.0
    return float(one.value if began and not one.reset else one.increase)


@compiled_bare
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
        point(points, unit.tail, at, quantile(0.99, tables.bounds[unit.hist], tail, hist.buckets))
    if enough or waited:
        tail[:] = 0.0
        hist.tail_since = NEVER
