"""What each series id stands for, and which derived series come of it: definitions in, rows of the packed tables out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.judge import Slots, configure, slots_for
from models.detection.ordered_kernel import begins_of
from models.detection.packed import Ints, widened
from models.detection.series.census import Census
from models.detection.series.definitions import Definitions
from models.detection.series.points import Tables, scratch_for
from models.detection.series.tables import NONE, Hists, Insts, Pasts, Raws, Units
from models.detection.way import way_of
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef


class Meta(msgspec.Struct, frozen=True, gc=False):
    """What a derived series is called."""

    series: str  # 16 hex digits: of a raw series its id; otherwise a hash of what it is derived from and the statistic
    service: str
    instance: str
    metric: str
    kind: Kind
    unit: str
    direction: Direction
    floor: str = ""  # the unit whose absolute floor judges it: of a rate that of what is counted


class Known(NamedTuple):
    """The raw series that are known."""

    ids: NDArray[np.uint64]  # in rising order
    rows: Ints  # of each
    begins: NDArray[np.int32]  # ordered_kernel.begins_of them


@dataclass
class Registry:
    """The tables, and the ways into them. `version` rises with every change of what there is."""

    config: DetectConfig
    raws: Raws
    units: Units
    hists: Hists
    insts: Insts
    slots: Slots
    pasts: Pasts = field(default_factory=Pasts)
    defs: Definitions = field(default_factory=Definitions)  # by raw row
    metas: dict[int, Meta] = field(default_factory=dict)  # by slot
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # by instance row: service and instance
    index: dict[int, int] = field(default_factory=dict)  # series id → raw row
    groups: dict[int, int] = field(default_factory=dict)  # histogram's group → unit
    places: dict[tuple[str, str], int] = field(default_factory=dict)  # service and instance → instance row
    past_of: dict[str, int] = field(default_factory=dict)  # service → row of `pasts`
    members: dict[int, list[int]] = field(default_factory=dict)  # unit → raw rows
    dormant: dict[int, list[SeriesDef]] = field(default_factory=dict)  # forgotten units by group or id, the longest forgotten first
    asleep: dict[int, int] = field(default_factory=dict)  # series id → key in `dormant`
    census: Census = field(default_factory=Census)
    going: set[int] = field(default_factory=set)  # slots with an open anomaly
    version: int = 0
    _sorted: Known | None = None
    _services: Ints | None = None

    def __post_init__(self) -> None:
        self.way = way_of(self.config)
        self._scratch = scratch_for(0, 0)

    @property
    def series(self) -> int:
        """How many raw series are known, awake or asleep."""
        return self.raws.count + len(self.asleep)

    def known(self) -> Known:
        """Return the ids that are known, and the raw row of each."""
        if self._sorted is None:
            known = np.fromiter(self.index, np.uint64, len(self.index))
            order = np.argsort(known)
            ids = known[order]
            self._sorted = Known(ids, np.fromiter(self.index.values(), np.int64, len(self.index))[order], begins_of(ids))
        return self._sorted

    def find(self, ids: NDArray[np.uint64]) -> Ints:
        """Return the raw row of each id, NONE where it is unknown."""
        known, rows, _ = self.known()
        if not len(known):
            return np.full(len(ids), NONE, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, rows[at], NONE)

    def services(self) -> Ints:
        """Return the number of each instance row's service, NONE where the row is free."""
        if self._services is None:
            self._services = np.full(self.insts.used, NONE, np.int64)
            numbers: dict[str, int] = {}
            for inst, (service, _) in self.names.items():
                self._services[inst] = numbers.setdefault(service, len(numbers))
        return self._services

    def tables(self) -> Tables:
        """Return the tables as compiled code takes them, until a row is added to one."""
        hists, slots = self.hists, self.slots
        rows = len(self.units.rows), len(self.insts.rows)
        if (len(self._scratch.began), len(self._scratch.insts)) != rows:
            self._scratch = scratch_for(*rows)
        return Tables(
            self.raws.rows, self.units.rows, hists.rows, hists.bounds, hists.counts, hists.tail,
            self.insts.rows, slots.rows, slots.ring, slots.order, self.units.used, self._scratch,
        )  # fmt: skip

    def changed(self) -> None:
        self.version += 1
        self._sorted = self._services = None


def empty(config: DetectConfig) -> Registry:
    hists = widened(Hists(), bounds=config.max_buckets, counts=config.max_buckets, tail=config.max_buckets)
    return Registry(config, Raws(), Units(), hists, Insts(), slots_for(config))


def derived(*parts: object) -> str:
    """Return the 16 hex digits of a series that no producer sends."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def add_slot(registry: Registry, meta: Meta, unit: str, *, judged: bool) -> int:
    """Make one derived series."""
    slot = registry.slots.take()
    registry.slots.inst[slot] = registry.places[meta.service, meta.instance]
    set_slot(registry, slot, meta, unit, judged=judged)
    return slot


def set_slot(registry: Registry, slot: int, meta: Meta, unit: str, *, judged: bool) -> None:
    """Say what a derived series is called and how it is judged; `unit` is the one whose floor does."""
    registry.metas[slot] = shared(msgspec.structs.replace(meta, floor=unit))
    configure(registry.slots, slot, registry.config.kinds[meta.kind], unit, meta.direction, judged=judged)


def shared(meta: Meta) -> Meta:
    """Return it with the texts that many series have in common kept once."""
    texts = {name: intern(getattr(meta, name)) for name in ("service", "instance", "metric", "unit", "floor")}
    return msgspec.structs.replace(meta, **texts)


def give_slot(registry: Registry, slot: int) -> None:
    """Give up a derived series, if there is one."""
    if slot != NONE:
        registry.slots.give(slot)
        registry.going.discard(slot)
        del registry.metas[slot]
