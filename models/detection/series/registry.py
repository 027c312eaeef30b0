"""What each series id stands for, and which derived series come of it: definitions in, rows of the packed tables out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.judge import PLACES, Slots, configure, slots_for
from models.detection.ordered_kernel import begins_of
from models.detection.packed import Ints, widened
from models.detection.series.census import Census
from models.detection.series.points import Tables, scratch_for
from models.detection.series.row_index import RowIndex, Rows
from models.detection.series.services import Services
from models.detection.series.tables import NONE, Hists, Insts, Pasts, Raws, Tallies, Units
from models.detection.way import way_of
from models.pages import Pages
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef, pack_series, unpack_series


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


class _Lean(Meta, frozen=True, gc=False):
    """It as it is kept; one that is kept in full reads the same."""

    series: str | int  # type: ignore[assignment]


Name = tuple[str, str]  # of an instance: its service and itself

_packer = msgspec.msgpack.Encoder()
_meta_unpacker, _name_unpacker = msgspec.msgpack.Decoder(_Lean), msgspec.msgpack.Decoder(Name)


def definitions() -> Pages[SeriesDef]:
    return Pages(pack_series, unpack_series)


def _metas() -> Pages[Meta]:
    return Pages(_pack_meta, _unpack_meta)


def _pack_meta(meta: Meta) -> bytes:
    """Return it as it is kept: hexadecimal digits take twice the room."""
    return _packer.encode(msgspec.structs.asdict(meta) | {"series": int(meta.series, 16)})


def _unpack_meta(data: bytes) -> Meta:
    lean = _meta_unpacker.decode(data)
    return Meta(**msgspec.structs.asdict(lean) | {"series": lean.series if isinstance(lean.series, str) else f"{lean.series:016x}"})


def _names() -> Pages[Name]:
    return Pages(_packer.encode, _name_unpacker.decode)


class Known(NamedTuple):
    """The raw series that are known."""

    ids: NDArray[np.uint64]  # in rising order
    rows: Rows  # of each
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
    tallies: Tallies = field(default_factory=Tallies)
    defs: Pages[SeriesDef] = field(default_factory=definitions)  # by raw row
    metas: Pages[Meta] = field(default_factory=_metas)  # by slot
    names: Pages[Name] = field(default_factory=_names)  # by instance row
    index: RowIndex = field(default_factory=RowIndex)  # series id → raw row
    groups: dict[int, int] = field(default_factory=dict)  # histogram's group → unit
    places: RowIndex = field(default_factory=RowIndex)  # key_of_name → instance row
    services: Services = field(default_factory=Services)
    past_of: dict[str, int] = field(default_factory=dict)  # service → row of `pasts`
    buckets: dict[int, list[int]] = field(default_factory=dict)  # unit of a histogram → raw rows
    dormant: dict[int, list[SeriesDef]] = field(default_factory=dict)  # forgotten units by group or id, the longest forgotten first
    asleep: dict[int, int] = field(default_factory=dict)  # series id → key in `dormant`
    census: Census = field(default_factory=Census)
    going: set[int] = field(default_factory=set)  # slots with an open anomaly
    version: int = 0
    namings: int = 0  # of derived series
    _sorted: Known | None = None

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
            ids, rows = self.index.settled()
            self._sorted = Known(ids, rows, begins_of(ids))
        return self._sorted

    def find(self, ids: NDArray[np.uint64]) -> Ints:
        """Return the raw row of each id, NONE where it is unknown."""
        known, rows, _ = self.known()
        if not len(known):
            return np.full(len(ids), NONE, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, rows[at], NONE).astype(np.int64)

    def members(self, unit: int) -> list[int]:
        """Return the raw rows of a unit."""
        return self.buckets[unit] if unit in self.buckets else [int(self.units.raw[unit])]

    def tables(self) -> Tables:
        """Return the tables as compiled code takes them, until a row is added to one."""
        hists, slots = self.hists, self.slots
        rows = len(self.units.rows), len(self.insts.rows)
        if (len(self._scratch.began), len(self._scratch.touched)) != rows:
            self._scratch = scratch_for(*rows)
        return Tables(
            self.raws.rows, self.units.rows, hists.rows, hists.bounds, hists.counts, hists.tail, self.insts.rows, self.tallies.rows,
            slots.rows[: slots.used], slots.rules.rows, slots.ring, slots.order, self.units.used, self._scratch,
        )  # fmt: skip

    def settle(self) -> None:
        """Let nothing wait to be sorted: as a dict has it, it takes several times as much."""
        self.known()
        for index in (self.places, *self.census.values.values()):
            index.settled()

    def changed(self) -> None:
        self.version += 1
        self._sorted = None


def empty(config: DetectConfig) -> Registry:
    hists = widened(Hists(), bounds=config.max_buckets, counts=config.max_buckets, tail=config.max_buckets)
    return Registry(config, Raws(), Units(), hists, Insts(), slots_for(config))


def derived(*parts: object) -> str:
    """Return the 16 hex digits of a series that no producer sends."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def add_slot(registry: Registry, meta: Meta, unit: str, *, judged: bool) -> int:
    """Make one derived series."""
    slot = registry.slots.take()
    registry.slots.inst[slot] = registry.places[key_of_name(meta.service, meta.instance)]
    set_slot(registry, slot, meta, unit, judged=judged)
    return slot


def set_slot(registry: Registry, slot: int, meta: Meta, unit: str, *, judged: bool) -> None:
    """Say what a derived series is called and how it is judged; `unit` is the one whose floor does."""
    registry.metas[slot] = msgspec.structs.replace(meta, floor=unit)
    slots, before = registry.slots, int(registry.slots.service[slot])
    slots.service[slot], slots.kind[slot], slots.named[slot] = *placed(registry, meta), registry.namings % 2**31
    if before != NONE:
        registry.services.leave(before)
    rule = registry.config.rule(meta.kind, registry.config.named(meta.service, meta.metric))
    configure(registry.slots, slot, rule, unit, meta.direction, judged=judged)


def placed(registry: Registry, meta: Meta) -> tuple[int, int]:
    """Return the numbers of the service, which has one more now, and the kind of a derived series that is called so from now on."""
    registry.namings += 1
    return registry.services.enter(meta.service), PLACES[meta.kind]


def key_of_name(service: str, instance: str) -> int:
    """Return 64 bits that stand for an instance: as of a series id, there is no other one that has the same."""
    return hash((service, instance)) % 2**64


def give_slot(registry: Registry, slot: int) -> None:
    """Give up a derived series, if there is one."""
    if slot != NONE:
        registry.services.leave(int(registry.slots.service[slot]))
        registry.slots.give(slot)
        registry.going.discard(slot)
        del registry.metas[slot]
