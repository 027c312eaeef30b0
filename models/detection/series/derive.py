"""From one window's raw series to points of derived series: values, rates, quantiles, error ratios, restarts. Compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled, compiled_bare
from models.detection.packed import Ints
from models.detection.series.histograms import gather_histograms
from models.detection.series.points import MARKS, MOST_POINTS, Points, point, pooled
from models.detection.series.restarts import count_restarts, note_restarts
from models.detection.series.tables import COUNTER, GAUGE, NEVER, NONE


@compiled
def derive(tables: Any, folded: Any, end: int, active: int, rule: Any) -> Any:
    """Return the points of one window that ends at `end`; `active` is the active clock. Changes histograms and instances.

    Args: tables (Tables), folded (n,) of increase.FOLDED, rule (Pooling).
    """
    scratch = tables.scratch
    most = MOST_POINTS * len(folded)
    points = Points(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float64), np.zeros(1, np.int64))
    found = np.empty(len(folded), np.int64)
    touched = _in_order(found[: _touch(tables, folded, active, scratch, found)])
    for i in range(len(touched)):
        scratch.touched[touched[i]] = 1 + i
    _values(tables, folded, points)
    _rates(tables, folded, points)
    gather_histograms(tables, folded, points, rule, scratch, found)
    note_restarts(tables, folded, active, touched, np.zeros(len(touched), MARKS))
    _ratios(tables, touched, end, points, rule)
    count_restarts(tables, touched, end, points, rule)
    for inst in touched:
        scratch.touched[inst] = 0
    return points


@compiled
def _in_order(numbers: Ints) -> Ints:
    """Return a copy of numbers (n,) in rising order: mostly they are in it already, for an instance's series were defined together."""
    for i in range(1, len(numbers)):
        if numbers[i] < numbers[i - 1]:
            return np.sort(numbers)
    return numbers.copy()


@compiled_bare
def _touch(tables: Any, folded: Any, active: int, scratch: Any, found: Ints) -> int:
    """Put the instances that had news into `found`, each once; return how many there are."""
    count = 0
    for i in range(len(folded)):
        inst = tables.units[folded[i].unit].inst
        if not scratch.touched[inst]:
            scratch.touched[inst] = 1
            tables.insts[inst].heard = active
            found[count] = inst
            count += 1
    return count


@compiled_bare
def _values(tables: Any, folded: Any, points: Any) -> None:
    for i in range(len(folded)):
        one = folded[i]
        if one.type == GAUGE:
            unit = tables.units[one.unit]
            point(points, unit.primary, one.at, one.lowest if unit.up else one.mean)


@compiled_bare
def _rates(tables: Any, folded: Any, points: Any) -> None:
    """Give the rates of counters, and count requests and errors."""
    for i in range(len(folded)):
        one = folded[i]
        if one.type == COUNTER and one.known:
            unit = tables.units[one.unit]
            if not unit.restarts:
                point(points, unit.primary, one.at, one.increase / (max(one.span, 1) / 1000))
            inst = tables.insts[unit.inst]
            if inst.ratio == NONE:
                continue
            tally = tables.tallies[inst.tally]
            if unit.requests:
                tally.request_n += one.increase
            if unit.errors:
                tally.error_n += one.increase
                if inst.disjoint:
                    tally.request_n += one.increase


@compiled_bare
def _ratios(tables: Any, touched: Ints, end: int, points: Any, rule: Any) -> None:
    for row in touched:
        inst = tables.insts[row]
        if inst.ratio == NONE:
            continue
        tally = tables.tallies[inst.tally]
        if tally.since == NEVER:
            tally.since = end
        waited = end - tally.since >= rule.longest
        enough = pooled(tally.request_n, rule.ratio_count, waited)
        if enough:
            point(points, inst.ratio, end, min(1.0, tally.error_n / tally.request_n))
        if enough or waited:
            tally.error_n = tally.request_n = 0.0
            tally.since = NEVER
