"""The state of one partition of detect, and its snapshot: packed columns and plain values in one MessagePack document, compressed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cramjam
import msgspec
import numpy as np

from models.detection.judge import ORDINARY, configure
from models.detection.leaks import Index, Leaks
from models.detection.report import Directory
from models.detection.rows import Waiting
from models.detection.series.define import register
from models.detection.series.dormant import sleep
from models.detection.series.registry import Registry, definitions, empty, give_slot, key_of_name, placed
from models.detection.series.restarts import HALF_UP
from models.detection.series.row_index import RowIndex
from models.detection.series.tables import NONE
from models.detection.silence import ActiveClock
from models.detection.sources import Source, Sources
from models.surprise.kept import kept, plain
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind
from schemas.samples import SeriesDef

_TABLES = ("raws", "units", "hists", "insts", "slots", "pasts", "tallies")
# Of a snapshot: in 7 definitions said twice what they say once, ids were text where series are named, and `up` was a number; in 6 the
# newest values were wider; in 5 rings and times were, and each instance had room for restarts; in 4 no service had a past of its own, in 3
# columns were wider, before that an image was not packed.
FORMAT = 8
_COLUMNS_FORMAT = 3
_COLUMNS_READ = {2, _COLUMNS_FORMAT}  # the columns say themselves how wide they are
_PACKED = b"\x28\xb5\x2f\xfd"  # how a Zstandard frame begins, and no image does
_LEVEL = 1  # the fastest: a partition waits for it


@dataclass
class DetectState:
    registry: Registry
    sources: Sources
    clock: ActiveClock = field(default_factory=ActiveClock)
    closed: int | None = None  # windows below this number are closed
    told: int = 0  # event time of the last health
    waiting: Waiting = field(default_factory=Waiting)  # rows whose window is open
    history: bool = False  # what was taken so far is history
    given_up: int = 0  # rows that waited in a snapshot of another shape, and are not counted yet
    leaks: Leaks = field(default_factory=Leaks)
    index: Index = field(default_factory=Index, compare=False)  # of the leaks; no part of the snapshot
    directory: Directory = field(default_factory=Directory, compare=False)  # an index; no part of the snapshot


class _Image(msgspec.Struct):
    """What a snapshot holds. `shape` is the configuration that the columns depend on."""

    shape: tuple[int, int, float]
    tables: dict[str, dict[str, Any]]
    defs: msgspec.Raw  # what Pages.image gives, of SeriesDef,
    metas: msgspec.Raw  # of Meta,
    names: msgspec.Raw  # and of an instance's service and name
    members: dict[int, list[int]]
    numbers: list[tuple[str, int]]
    sources: list[Source]
    tick: int
    clock: tuple[int, int | None, float]
    closed: int | None
    told: int
    pending: dict[str, bytes]
    dormant: list[list[SeriesDef]] = []
    history: bool = False
    given_up: int = 0
    leaks: Leaks = msgspec.field(default_factory=Leaks)
    format: int = 1  # of the columns; an image that does not say is of the first


_ENCODER, _DECODER = msgspec.msgpack.Encoder(enc_hook=plain), msgspec.msgpack.Decoder(_Image, dec_hook=kept)


def snapshot(state: DetectState) -> bytes:
    """Return the state in bytes."""
    return capture(state)()


def capture(state: DetectState) -> Callable[[], bytes]:
    """Return what gives the state in bytes, as it is now: to compress it takes twice as long as to copy it.

    What a backlog needed is given back before, and nothing waits to be sorted: the state says what it said.
    """
    units = state.registry.units
    registry, sources, clock, waiting = state.registry, state.sources, state.clock, state.waiting
    waiting.trim()
    registry.settle()
    image = _ENCODER.encode(
        _Image(
            shape=_shape(registry.config),
            tables={name: getattr(registry, name).dump() for name in _TABLES},
            defs=registry.defs.image(),
            metas=registry.metas.image(),
            names=registry.names.image(),
            members={unit: [row] for unit, row in enumerate(units.raw[: units.used].tolist()) if row != NONE} | registry.buckets,
            numbers=sources.names(),
            sources=sources.all,
            tick=sources.tick,
            clock=(clock.now, clock.last, clock.usual),
            closed=state.closed,
            told=state.told,
            pending=waiting.image(),
            dormant=list(registry.dormant.values()),
            history=state.history,
            given_up=state.given_up,
            leaks=state.leaks,
            format=_COLUMNS_FORMAT,
        )
    )
    return partial(_packed, image)


def pack(image: Any) -> bytes:
    """Return an image in bytes, compressed: times, masks and numbers that are small or alike are most of it."""
    return _packed(msgspec.msgpack.encode(image))


def _packed(image: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(image, _LEVEL))


def unpack(data: bytes) -> bytes:
    """Return the image as MessagePack. Raises ValueError for a frame that is broken."""
    if not data.startswith(_PACKED):
        return data
    try:
        return bytes(cramjam.zstd.decompress(data))
    except cramjam.DecompressionError as error:
        raise ValueError(f"a snapshot that cannot be unpacked: {error}") from error


def restore(data: bytes | None, config: DetectConfig) -> DetectState:
    """Return the state of a snapshot. Of another window, ring size or format the past is given up, but never what the series mean."""
    registry = empty(config)
    if data is None:
        return DetectState(registry, Sources(config))
    image = _DECODER.decode(unpack(data))
    sources = Sources.of(config, image.numbers, image.sources, image.tick)
    for members in image.dormant:
        sleep(registry, members)
    defs = definitions()
    defs.fill(image.defs)
    if image.shape != _shape(config) or image.format not in _COLUMNS_READ:
        for found in defs.values():
            register(registry, found, now=0)
        return DetectState(registry, sources, given_up=image.given_up + len(Waiting.of(image.pending)), leaks=image.leaks)
    for name in image.tables.keys() & set(_TABLES):
        getattr(registry, name).load(image.tables[name])
    if "resets" in image.tables["insts"]:
        _move_tallies(registry, image.tables["insts"])
    registry.defs = defs
    registry.metas.fill(image.metas)
    registry.names.fill(image.names)
    if "up" in image.tables["insts"]:
        _take_less(registry, image.tables["insts"])
    names = list(registry.names.pairs())
    insts = np.array([inst for inst, _ in names], np.int64)
    registry.places = RowIndex.of(np.array([key_of_name(*name) for _, name in names], np.uint64), insts)
    registry.insts.service[insts] = [registry.services.enter(service) for _, (service, _) in names]
    for unit, raws in image.members.items():
        registry.units.raw[unit] = raws[0]
        if registry.units.hist[unit] != NONE:
            registry.buckets[unit] = raws
    rows = np.flatnonzero(registry.raws.unit != NONE)
    registry.index = RowIndex.of(registry.raws.id[rows], rows)
    registry.census.enter_all(found for _, found in defs.pairs())
    registry.groups = {defs[raws[0]].group: unit for unit, raws in registry.buckets.items()}
    _reconfigure(registry)
    services, numbers = registry.services.names, registry.slots.service
    registry.past_of = {services[numbers[slot]]: row for row, slot in enumerate(registry.pasts.slot.tolist()) if slot != NONE}
    _let_go_of_orphans(registry)
    registry.going.update(np.flatnonzero(registry.slots.state[: registry.slots.used] != ORDINARY).tolist())
    clock, waiting = ActiveClock(*image.clock), Waiting.of(image.pending)
    return DetectState(registry, sources, clock, image.closed, image.told, waiting, image.history, image.given_up, image.leaks)


def _shape(config: DetectConfig) -> tuple[int, int, float]:
    return config.history_points, config.max_buckets, config.window_s


def _move_tallies(registry: Registry, packed: dict[str, Any]) -> None:
    """Give those of which anything is counted a row for it: up to format 5 each instance had room for its own."""
    tallies, insts = registry.tallies, registry.insts
    rows = np.flatnonzero(np.maximum(insts.restarts, insts.ratio)[: insts.used] != NONE)
    insts.tally[rows] = [tallies.take() for _ in rows]
    for name in ("request_n", "error_n", "since", "resets", "falls"):
        dtype, shape, data = packed[name]
        getattr(tallies, name)[: len(rows)] = np.frombuffer(data, dtype).reshape(shape)[rows]


def _take_less(registry: Registry, packed: dict[str, Any]) -> None:
    """Keep in less what was kept up to format 7."""
    dtype, _, data = packed["up"]
    registry.insts.down[:] = np.frombuffer(data, dtype) < HALF_UP
    registry.defs.keep_anew()
    registry.metas.keep_anew()


def _let_go_of_orphans(registry: Registry) -> None:
    """Give up derived series that nothing has: a release that did not know of them has read and written this snapshot in between."""
    units, insts = registry.units, registry.insts
    columns = (units.primary, units.median, units.rate, units.tail, insts.ratio, insts.restarts, registry.pasts.slot)
    owned = {slot for column in columns for slot in column.tolist()}
    for slot in sorted(registry.metas.keys() - owned):
        give_slot(registry, slot)


def _reconfigure(registry: Registry) -> None:
    """Let the columns say what derived series are called, and the present configuration judge, whichever took the snapshot."""
    slots, judged, config = registry.slots, registry.slots.judged.tolist(), registry.config
    metas = list(registry.metas.pairs())
    rows = np.array([slot for slot, _ in metas], np.int64)
    slots.service[rows], slots.kind[rows] = np.array([placed(registry, meta) for _, meta in metas], np.int64).reshape(-1, 2).T
    slots.named[rows] = np.arange(len(rows))
    alike: dict[tuple[Kind, str, str, Direction, bool], list[int]] = defaultdict(list)
    for slot, meta in metas:
        alike[meta.kind, config.named(meta.service, meta.metric), meta.floor, meta.direction, judged[slot]].append(slot)
    for (kind, name, floor, direction, is_judged), own in alike.items():
        configure(slots, np.array(own), config.rule(kind, name), floor, direction, judged=is_judged)
