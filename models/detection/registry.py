"""What each series id stands for, and which derived series come of it: definitions in, rows of the packed tables out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.judge import Slots, configure, slots_for
from models.detection.packed import Ints, widened
from models.detection.tables import BUCKET, COUNTER, GAUGE, IGNORED, NONE, Hists, Insts, Raws, Units
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import SeriesDef

INFINITE = float("inf")


class Meta(msgspec.Struct, frozen=True):
    """What a derived series is called."""

    series: str  # 16 hex digits: of a raw series its id; otherwise a hash of what it is derived from and the statistic
    service: str
    instance: str
    metric: str
    kind: Kind
    unit: str
    direction: Direction


@dataclass
class Registry:
    """The tables, and the ways into them. `version` rises with every change of what there is."""

    config: DetectConfig
    raws: Raws
    units: Units
    hists: Hists
    insts: Insts
    slots: Slots
    defs: dict[int, SeriesDef] = field(default_factory=dict)  # by raw row
    metas: dict[int, Meta] = field(default_factory=dict)  # by slot
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # by instance row: service and instance
    index: dict[int, int] = field(default_factory=dict)  # series id → raw row
    groups: dict[int, int] = field(default_factory=dict)  # histogram's group → unit
    places: dict[tuple[str, str], int] = field(default_factory=dict)  # service and instance → instance row
    members: dict[int, list[int]] = field(default_factory=dict)  # unit → raw rows
    version: int = 0
    _sorted: tuple[NDArray[np.uint64], Ints] | None = None

    def find(self, ids: NDArray[np.uint64]) -> Ints:
        """Return the raw row of each id, NONE where it is unknown."""
        if self._sorted is None:
            known = np.fromiter(self.index, np.uint64, len(self.index))
            order = np.argsort(known)
            self._sorted = known[order], np.fromiter(self.index.values(), np.int64, len(self.index))[order]
        known, rows = self._sorted
        if not len(known):
            return np.full(len(ids), NONE, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, rows[at], NONE)

    def changed(self) -> None:
        self.version += 1
        self._sorted = None


def empty(config: DetectConfig) -> Registry:
    hists = widened(Hists(), bounds=config.max_buckets, counts=config.max_buckets)
    return Registry(config, Raws(), Units(), hists, Insts(), slots_for(config))


def register(registry: Registry, found: SeriesDef) -> bool:
    """Take in one definition; one that is known changes nothing. False: a bucket above the cap."""
    row = registry.index.get(found.id)
    if row is not None:
        if _same(registry.defs[row], found):
            return True
        drop(registry, int(registry.raws.unit[row]))
    registry.changed()
    inst = _instance(registry, found)
    histogram = found.type is MetricType.HISTOGRAM
    unit = registry.groups.get(found.group, NONE) if histogram else NONE
    if unit == NONE:
        unit = _unit(registry, found, inst, histogram=histogram)
    hist = int(registry.units.hist[unit])
    if found.part == "bucket" and registry.hists.buckets[hist] >= registry.config.max_buckets:
        return False
    row = registry.raws.take()
    registry.raws.id[row], registry.raws.unit[row] = found.id, unit
    registry.raws.type[row] = _type(found)
    registry.index[found.id], registry.defs[row] = row, found
    registry.members[unit].append(row)
    if found.part == "bucket":
        _insert_bucket(registry, hist, row, unit, INFINITE if found.le is None else found.le)
    return True


def drop(registry: Registry, unit: int) -> None:
    """Forget a unit, its raw series and its derived series; its instance goes with its last unit."""
    units, insts = registry.units, registry.insts
    inst = int(units.inst[unit])
    for row in registry.members.pop(unit):
        found = registry.defs.pop(row)
        del registry.index[found.id]
        registry.groups.pop(found.group, None)
        registry.raws.give(row)
    if units.hist[unit] != NONE:
        registry.hists.give(int(units.hist[unit]))
    for slot in (units.primary[unit], units.median[unit], units.rate[unit]):
        _give_slot(registry, int(slot))
    units.give(unit)
    insts.units[inst] -= 1
    if insts.units[inst] == 0:
        _give_slot(registry, int(insts.ratio[inst]))
        _give_slot(registry, int(insts.restarts[inst]))
        insts.give(inst)
        del registry.places[registry.names.pop(inst)]
    registry.changed()


def derived(*parts: object) -> str:
    """Return the 16 hex digits of a series that no producer sends."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _same(known: SeriesDef, found: SeriesDef) -> bool:
    return all(
        getattr(known, name) == getattr(found, name) for name in ("service", "instance", "kind", "type", "unit", "direction", "part")
    )


def _type(found: SeriesDef) -> int:
    if found.type is MetricType.HISTOGRAM:
        return BUCKET if found.part == "bucket" else IGNORED
    return COUNTER if found.type is MetricType.COUNTER or found.kind is Kind.RESTARTS else GAUGE


def _instance(registry: Registry, found: SeriesDef) -> int:
    key = found.service, found.instance
    inst = registry.places.get(key)
    if inst is None:
        inst = registry.insts.take()
        registry.places[key], registry.names[inst] = inst, key
    return inst


def _unit(registry: Registry, found: SeriesDef, inst: int, *, histogram: bool) -> int:
    units, insts = registry.units, registry.insts
    unit = units.take()
    registry.members[unit] = []
    units.inst[unit] = inst
    insts.units[inst] += 1
    units.up[unit] = found.kind is Kind.UP and not histogram
    if histogram:
        registry.groups[found.group] = unit
        units.hist[unit] = registry.hists.take()
        units.primary[unit] = _histogram_slot(registry, found, "p95", found.kind, judged=True)
        units.median[unit] = _histogram_slot(registry, found, "p50", found.kind, judged=False)
        registry.slots.witness[units.primary[unit]] = units.median[unit]
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
    units.primary[unit] = _slot(registry, meta, found.unit, judged=judged)
    if units.errors[unit]:
        _note_disjoint(registry, inst)


def _count_requests(registry: Registry, found: SeriesDef, inst: int, *, counter: bool) -> None:
    """Give the instance its error ratio, and take the judgement from its error rates."""
    units, insts = registry.units, registry.insts
    mine = np.flatnonzero(units.inst[: units.used] == inst)
    if counter and not insts.counted[inst]:
        insts.counted[inst] = True
        for slot in units.rate[mine][(units.rate[mine] != NONE) & units.requests[mine]].tolist():
            _set_slot(registry, slot, msgspec.structs.replace(registry.metas[slot], kind=Kind.OTHER), "", judged=True)
    if insts.ratio[inst] == NONE:
        insts.ratio[inst] = _instance_slot(registry, found, "error_ratio", Kind.ERRORS, "ratio", Direction.UP)
        registry.slots.judged[units.primary[mine[units.errors[mine]]]] = False
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
    return _slot(registry, meta, "" if rate else found.unit, judged=judged)


def _instance_slot(registry: Registry, found: SeriesDef, metric: str, kind: Kind, unit: str, direction: Direction) -> int:
    series = derived(found.service, found.instance, metric)
    meta = Meta(series=series, service=found.service, instance=found.instance, metric=metric, kind=kind, unit=unit, direction=direction)
    return _slot(registry, meta, unit, judged=True)


def _slot(registry: Registry, meta: Meta, unit: str, *, judged: bool) -> int:
    slot = registry.slots.take()
    _set_slot(registry, slot, meta, unit, judged=judged)
    return slot


def _set_slot(registry: Registry, slot: int, meta: Meta, unit: str, *, judged: bool) -> None:
    registry.metas[slot] = meta
    configure(registry.slots, slot, registry.config.kinds[meta.kind], unit, meta.direction, judged=judged)


def _give_slot(registry: Registry, slot: int) -> None:
    if slot != NONE:
        registry.slots.give(slot)
        del registry.metas[slot]


def _insert_bucket(registry: Registry, hist: int, row: int, unit: int, bound: float) -> None:
    """Put a bucket in the order of the bounds; what was gathered so far is given up, for it lacks this bucket."""
    hists, raws = registry.hists, registry.raws
    count = int(hists.buckets[hist])
    place = int(np.searchsorted(hists.bounds[hist, :count], bound))
    hists.bounds[hist, place + 1 : count + 1] = hists.bounds[hist, place:count].copy()
    hists.bounds[hist, place] = bound
    hists.counts[hist] = 0
    for other in registry.members[unit]:
        if other != row and raws.type[other] == BUCKET and raws.bucket[other] >= place:
            raws.bucket[other] += 1
    raws.bucket[row] = place
    hists.buckets[hist] = count + 1
