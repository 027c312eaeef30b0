"""Definitions in, rows of the packed tables out: instances, units, raw series, and the derived series that come of them."""

from __future__ import annotations

import msgspec
import numpy as np

from models.detection.series.buckets import forget, has_room, insert
from models.detection.series.registry import Meta, Registry, add_slot, derived, give_slot, key_of_name, set_slot
from models.detection.series.tables import BUCKET, COUNTER, GAUGE, IGNORED, NONE
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import SeriesDef

INFINITE = float("inf")


def outdated(registry: Registry, found: SeriesDef) -> int:
    """Return the unit that must be dropped before this definition can be taken in, for it says otherwise; NONE: there is none."""
    row = registry.index.find(found.id)
    return NONE if row == NONE or _same(registry.defs[row], found) else int(registry.raws.unit[row])


def register(registry: Registry, found: SeriesDef, now: int) -> bool:
    """Take in one definition at a moment of the active clock; one that is known changes nothing. False: a bucket above the cap."""
    if found.id in registry.index:
        return True
    histogram = found.type is MetricType.HISTOGRAM
    unit = registry.groups.get(found.group, NONE) if histogram else NONE
    if found.part == "bucket" and unit != NONE and not has_room(registry, int(registry.units.hist[unit]), found.le):
        return False
    registry.changed()
    inst = _instance(registry, found)
    if unit == NONE:
        unit = _unit(registry, found, inst, histogram=histogram)
        registry.units.heard[unit] = now  # its silence begins now: it is not the longest silent of all
    hist = int(registry.units.hist[unit])
    row = registry.raws.take()
    registry.raws.id[row], registry.raws.unit[row] = found.id, unit
    registry.raws.type[row], registry.raws.delta[row] = _type(found), found.delta
    registry.index.add(found.id, row)
    registry.defs[row] = found
    registry.census.enter(found)
    if histogram:
        registry.buckets[unit].append(row)
    if registry.units.raw[unit] == NONE:
        registry.units.raw[unit] = row
    if found.part == "bucket":
        insert(registry, hist, row, unit, INFINITE if found.le is None else found.le)
    return True


def drop(registry: Registry, unit: int) -> None:
    """Forget a unit, its raw series and its derived series; its instance goes with its last unit."""
    units, insts = registry.units, registry.insts
    inst = int(units.inst[unit])
    members = registry.members(unit)
    registry.buckets.pop(unit, None)
    for row in members:
        registry.groups.pop(forget(registry, row).group, None)
    if units.hist[unit] != NONE:
        registry.hists.give(int(units.hist[unit]))
    for slot in (units.primary[unit], units.median[unit], units.rate[unit], units.tail[unit]):
        give_slot(registry, int(slot))
    units.give(unit)
    insts.units[inst] -= 1
    if insts.units[inst] == 0:
        give_slot(registry, int(insts.ratio[inst]))
        give_slot(registry, int(insts.restarts[inst]))
        if insts.tally[inst] != NONE:
            registry.tallies.give(int(insts.tally[inst]))
        registry.services.leave(int(insts.service[inst]))
        insts.give(inst)
        del registry.places[key_of_name(*registry.names.pop(inst))]
    registry.changed()


def _same(known: SeriesDef, found: SeriesDef) -> bool:
    return all(
        getattr(known, name) == getattr(found, name)
        for name in ("service", "instance", "kind", "type", "unit", "direction", "part", "delta")
    )


def _type(found: SeriesDef) -> int:
    if found.type is MetricType.HISTOGRAM:
        return BUCKET if found.part == "bucket" else IGNORED
    return COUNTER if found.type is MetricType.COUNTER or found.kind is Kind.RESTARTS else GAUGE


def _instance(registry: Registry, found: SeriesDef) -> int:
    key = key_of_name(found.service, found.instance)
    inst = registry.places.find(key)
    if inst == NONE:
        inst = registry.insts.take()
        registry.places.add(key, inst)
        registry.names[inst] = found.service, found.instance
        registry.insts.service[inst] = registry.services.enter(found.service)
    return inst


def _unit(registry: Registry, found: SeriesDef, inst: int, *, histogram: bool) -> int:
    units, insts = registry.units, registry.insts
    unit = units.take()
    units.inst[unit] = inst
    insts.units[inst] += 1
    units.up[unit] = found.kind is Kind.UP and not histogram
    if histogram:
        registry.groups[found.group], registry.buckets[unit] = unit, []
        units.hist[unit] = registry.hists.take()
        units.primary[unit] = _histogram_slot(registry, found, "p95", found.kind, judged=True)
        units.median[unit] = _histogram_slot(registry, found, "p50", found.kind, judged=False)
        registry.slots.witness[units.primary[unit]] = units.median[unit]
        if registry.config.tail_count:
            # Told, never judged, and beside the latency: where a p99 departs the p95 shows whether it matters.
            units.tail[unit] = _histogram_slot(registry, found, "p99", Kind.OTHER, judged=False)
        kind = Kind.REQUESTS if found.kind is Kind.LATENCY and not insts.counted[inst] else Kind.OTHER
        units.rate[unit] = _histogram_slot(registry, found, "rate", kind, judged=True)
        units.requests[unit] = found.kind is Kind.LATENCY
    elif found.kind is Kind.RESTARTS:
        units.restarts[unit] = True
    else:
        _single(registry, found, unit, inst)
    if units.requests[unit]:
        _count_requests(registry, found, inst, counter=not histogram)
    if (histogram or _type(found) == COUNTER or found.kind is Kind.UP) and insts.restarts[inst] == NONE:
        insts.restarts[inst] = _instance_slot(registry, found, "restarts", Kind.RESTARTS, "restarts", Direction.UP)
        insts.tally[inst] = registry.tallies.take()
    return unit


def _single(registry: Registry, found: SeriesDef, unit: int, inst: int) -> None:
    """Make the one derived series of a gauge (itself) or of a counter (its rate)."""
    units, insts = registry.units, registry.insts
    counter = found.type is MetricType.COUNTER
    units.errors[unit] = counter and found.kind is Kind.ERRORS
    units.requests[unit] = counter and found.kind is Kind.REQUESTS
    # Errors are judged as a share of requests where those are counted. Fewer cache hits are ordinary wherever there is less load.
    judged = not (units.errors[unit] and insts.ratio[inst] != NONE)
    judged = judged and not (counter and found.kind is Kind.CACHE and found.direction is Direction.DOWN)
    meta = Meta(
        series=f"{found.id:016x}",
        service=found.service,
        instance=found.instance,
        metric=f"{found.metric}:rate" if counter else found.metric,
        kind=found.kind,
        unit=f"{found.unit}/s" if counter else found.unit,
        direction=found.direction,
    )
    units.primary[unit] = add_slot(registry, meta, found.unit, judged=judged)
    if units.errors[unit]:
        _note_disjoint(registry, inst)


def _count_requests(registry: Registry, found: SeriesDef, inst: int, *, counter: bool) -> None:
    """Give the instance its error ratio, and take the judgement from its error rates."""
    units, insts = registry.units, registry.insts
    mine = np.flatnonzero(units.inst[: units.used] == inst)
    if counter and not insts.counted[inst]:
        insts.counted[inst] = True
        for slot in units.rate[mine][(units.rate[mine] != NONE) & units.requests[mine]].tolist():
            set_slot(registry, slot, msgspec.structs.replace(registry.metas[slot], kind=Kind.OTHER), "", judged=True)
    if insts.ratio[inst] == NONE:
        insts.ratio[inst] = _instance_slot(registry, found, "error_ratio", Kind.ERRORS, "ratio", Direction.UP)
        rates = units.primary[mine[units.errors[mine]]]
        registry.slots.judged[rates] = registry.slots.opens[rates] = False
    _note_disjoint(registry, inst)


def _note_disjoint(registry: Registry, inst: int) -> None:
    """Errors and requests of one metric are told apart by a label: neither holds the other."""
    units, metas = registry.units, registry.metas
    mine = np.flatnonzero(units.inst[: units.used] == inst)
    errors, requests = (
        {metas[slot].metric for slot in units.primary[mine[flags[mine]]].tolist() if slot in metas}
        for flags in (units.errors, units.requests)
    )
    registry.insts.disjoint[inst] = bool(errors & requests)


def _histogram_slot(registry: Registry, found: SeriesDef, statistic: str, kind: Kind, *, judged: bool) -> int:
    rate = statistic == "rate"
    meta = Meta(
        series=derived(found.group, statistic),
        service=found.service,
        instance=found.instance,
        metric=f"{found.metric}:{statistic}",
        kind=kind,
        unit="1/s" if rate else found.unit,
        direction=Direction.NONE if rate else found.direction,
    )
    return add_slot(registry, meta, "" if rate else found.unit, judged=judged)


def _instance_slot(registry: Registry, found: SeriesDef, metric: str, kind: Kind, unit: str, direction: Direction) -> int:
    series = derived(found.service, found.instance, metric)
    meta = Meta(series=series, service=found.service, instance=found.instance, metric=metric, kind=kind, unit=unit, direction=direction)
    return add_slot(registry, meta, unit, judged=True)
