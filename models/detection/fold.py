"""Fold samples into anomalies and health: rows wait for their window, windows close as the watermark passes, each is judged once.

A row is processed as if it came alone: it is put into its window, then the watermark moves, then windows close; so decisions
do not depend on how batches were cut. What a closing forgets, the next row of it brings back, in this batch or in a later one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.detection.admit_kernel import (
    DUPLICATE,
    KINDS,
    NOT_FINITE,
    RESTARTED,
    TAKEN,
    UNKNOWN,
    Came,
    arrange,
    clamped,
    clock_of,
    lead_of,
    look,
    moved,
    note,
    wait_again,
    watermark,
)
from models.detection.caps import Full, full_for
from models.detection.close import Closer, Told
from models.detection.fates import DefinitionFate, RowFate
from models.detection.history import give_up_history, is_live
from models.detection.packed import Ints
from models.detection.reopen import pull_back, reopen
from models.detection.room import make_room
from models.detection.rows import ROW
from models.detection.series.buckets import in_the_way, leave_out
from models.detection.series.define import outdated, register
from models.detection.series.dormant import key_of, rouse, sleeping, wake
from models.detection.series.tables import NONE
from models.detection.state import DetectState
from schemas.base import Position
from schemas.config.detect import DetectConfig
from schemas.samples import STALE_BITS, Batches, Heartbeat, SampleBatch, SeriesDef

_FATES = {DUPLICATE: RowFate.DUPLICATE, UNKNOWN: RowFate.UNKNOWN_SERIES, NOT_FINITE: RowFate.NOT_FINITE}  # of a row that no window gets


class Detector:
    """Folds one record into the state of its partition."""

    def __init__(self, state: DetectState, config: DetectConfig) -> None:
        self.state = state
        self.config = config
        self._registry = state.registry
        self._window_ms = round(config.window_s * 1000)
        self._told = Told()
        self._closer = Closer(state, config, self._told)

    def define(self, definitions: list[SeriesDef], source: Position) -> Told:
        """Take in what series ids mean; where there are too many, the longest silent make room, or there is none."""
        told = self._begin()
        crowded: set[Full] = set()
        for found in definitions:
            if not found.mapped:
                told.defined[found.source, DefinitionFate.UNMAPPED] += 1
                continue
            wake(self._registry, found.id, self.state.clock.now)
            rouse(self._registry, key_of(found), self.state.clock.now)
            if (unit := outdated(self._registry, found)) != NONE:
                self._closer.give_up(unit, source)
                self._let_go_of_rows()
            if (bucket := in_the_way(self._registry, found)) != NONE:
                leave_out(self._registry, bucket)
                told.evicted += 1
                self._let_go_of_rows()
            if (full := self._no_place(found, source, crowded)) is not None:
                told.defined[found.source, full.fate] += 1
                continue
            fits = register(self._registry, found, self.state.clock.now)
            told.defined[found.source, DefinitionFate.TAKEN if fits else DefinitionFate.BUCKET_ABOVE_CAP] += 1
        return told

    def take(self, found: Batches, now: int) -> Told:
        """Take rows of one source partition or several; `now` is the record's own time, 0 where it has none."""
        return self._take(self._live(), found, now)

    def recall(self, found: Batches, now: int) -> Told:
        """Take rows that are marked as history, where nothing but history was taken; else they are only counted."""
        if is_live(self.state):
            told = self._begin()
            told.receive(found)
            told.end(told.received, RowFate.HISTORICAL)
            return told
        self.state.history = True
        return self._take(self._begin(), found, now)

    def _live(self) -> Told:
        given_up = give_up_history(self.state, self.config)
        told = self._begin()
        told.end(given_up, RowFate.HISTORICAL)
        return told

    def _take(self, told: Told, found: Batches, now: int) -> Told:
        told.receive(found)
        if self.state.history or self._crowded(found):
            for one in found.apart():
                self._take_of(told, one, now)
        else:
            self._take_of(told, found, now)
        return told

    def _take_of(self, told: Told, found: Batches, now: int) -> None:
        """Take rows whose sources have a place."""
        batch, sources = found.rows, self.state.sources
        numbers = np.array([self._number(one.topic, one.partition) for one in found.sources], np.int64)
        columns = batch.series, batch.time, np.ascontiguousarray(batch.value), batch.offset
        raw, kinds = np.empty(len(batch.offset), np.int64), np.empty(len(batch.offset), np.uint8)
        counts = look(columns, found.ends, numbers, sources.table, self._registry.known(), raw, kinds)
        told.restarted_sources += int(counts[:, RESTARTED].sum())
        if counts[:, UNKNOWN].any() and self._registry.asleep:
            self._rouse(batch, raw, kinds)
            counts = np.array([np.bincount(one, minlength=KINDS) for one in np.split(kinds, found.ends[:-1])])
        for source, own in zip(found.sources, counts.tolist(), strict=True):
            for kind, fate in _FATES.items():
                if own[kind]:
                    told.rows[source.topic, fate] += own[kind]
        first = self.state.history and not sources.table["fed"][numbers[0]]
        rows, ids = np.empty(len(raw), ROW), np.empty(len(raw), np.uint64)
        count = arrange(columns, found.ends, numbers, sources.table, sources.times(now), raw, kinds, rows, ids)
        if not count:
            return
        if first:
            reopen(self.state, int(rows["at"][0]) - self.config.out_of_order_ms(found.sources[0].topic), self._window_ms)
        self._closer.run(rows[:count], ids[:count])

    def hear(self, heartbeat: Heartbeat, now: int) -> Told:
        """Take note that a source partition goes on which has no rows here; `now` is the record's own time."""
        told = self._live()
        sources = self.state.sources
        if (heartbeat.topic, heartbeat.partition) not in sources.numbers and len(sources.numbers) >= self.config.max_sources:
            return told
        number = self._number(heartbeat.topic, heartbeat.partition)
        table, times = sources.table, sources.times(now)
        if heartbeat.offset <= table["mark"][number]:
            return told
        table["mark"][number] = heartbeat.offset
        wait_again(table, times)
        lead = lead_of(table, number, times)
        at, future, claim = clamped(heartbeat.at, clock_of(table, number, times))
        newest = moved(lead.newest, at, future, lead.alone, now)
        note(table[number], Came(newest, at, claim, not future))
        trigger = Position(topic=heartbeat.topic, partition=heartbeat.partition, offset=heartbeat.offset)
        self._closer.go_on(watermark(newest, lead) // self._window_ms, trigger)
        return told

    def tick(self, at: int, source: Position) -> Told:
        """Take a tick: sources that have been silent for long, or whose times are far from the others', are not waited for.

        Of history, all that waits is judged, and is history too.
        """
        told = self._begin()
        sources = self.state.sources
        if self.state.history:  # no tick is written while it passes: no source has more of it
            told.historical = True
            self._closer.close(sources.reached // self._window_ms + 1, source)
            return told
        if ahead := sources.compare(at):
            pull_back(self.state, ahead, self._window_ms)
        watermark = sources.pass_time(at)
        if watermark is not None:
            self._closer.close(watermark // self._window_ms, source)
        return told

    def _begin(self) -> Told:
        self._told = told = Told()
        if self.state.given_up:
            told.rows["", RowFate.GIVEN_UP] += self.state.given_up  # a snapshot does not say of which topic
            self.state.given_up = 0
        self._registry = self.state.registry
        self._closer = Closer(self.state, self.config, told)
        return told

    def _crowded(self, found: Batches) -> bool:
        """Tell whether a source must make room for one of these: then each is taken by itself, for it may be among them."""
        sources = self.state.sources
        new = sum((one.topic, one.partition) not in sources.numbers for one in found.sources)
        return len(sources.numbers) + new > self.config.max_sources

    def _number(self, topic: str, partition: int) -> int:
        sources = self.state.sources
        if (topic, partition) not in sources.numbers and len(sources.numbers) >= self.config.max_sources:
            sources.replace(topic, partition)
            self._told.evicted_sources += 1
        return sources.number(topic, partition)

    def _rouse(self, batch: SampleBatch, raw: Ints, kinds: NDArray[np.uint8]) -> None:
        """Let rows of series that are asleep be taken, too: they wake them."""
        asleep = (kinds == UNKNOWN) & sleeping(self._registry, batch.series, raw)
        bits = np.ascontiguousarray(batch.value).view(np.uint64)
        kinds[asleep] = np.where(np.isfinite(batch.value) | (bits == STALE_BITS), TAKEN, NOT_FINITE)[asleep]

    def _no_place(self, found: SeriesDef, source: Position, crowded: set[Full]) -> Full | None:
        """Return the cap that a definition is above once what is silent has made room; `crowded` are those under which all is alive."""
        tried: set[Full] = set()
        while (full := full_for(self._registry, found)) is not None and full not in tried:
            tried.add(full)
            if full not in crowded and not self._make_room(full, source):
                crowded.add(full)
        return full

    def _make_room(self, full: Full, source: Position) -> bool:
        gone, silent = make_room(self._registry, self.state.clock.now, full)
        self._told.evicted += gone + sum(len(self._registry.members(unit)) for unit in silent)
        for unit in silent:
            self._closer.give_up(unit, source)
        self._let_go_of_rows()
        return gone > 0 or len(silent) > 0

    def _let_go_of_rows(self) -> None:
        """Drop waiting rows of series that were given up."""
        waiting = self.state.waiting
        if (self._registry.raws.unit[waiting.raws] != NONE).all():
            return
        rows = waiting.rows
        kept = self._registry.raws.unit[rows["raw"]] != NONE
        waiting.rows = rows[kept]
        self._told.end(self.state.sources.topics(rows[~kept]), RowFate.EVICTED)
