"""Fold samples into anomalies and health: rows wait for their window, windows close as the watermark passes, each is judged once.

A row is processed as if it came alone: it is put into its window, then the watermark moves, then windows close; so decisions
do not depend on how batches were cut. What a closing forgets, the next row of it brings back, in this batch or in a later one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.detection.admit_kernel import (
    DUPLICATE,
    HIGHEST,
    LATEST,
    NOT_FINITE,
    TAKEN,
    UNKNOWN,
    Came,
    arrange,
    clamped,
    look,
    moved,
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
from models.detection.series.define import outdated, register
from models.detection.series.dormant import key_of, rouse, sleeping, wake
from models.detection.series.tables import NONE
from models.detection.sources import Source
from models.detection.state import DetectState
from models.marks import begins_anew
from schemas.base import Position
from schemas.config.detect import DetectConfig
from schemas.samples import STALE_BITS, BatchSource, Heartbeat, SampleBatch, SeriesDef


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
                told.definitions[DefinitionFate.UNMAPPED] += 1
                continue
            wake(self._registry, found.id, self.state.clock.now)
            rouse(self._registry, key_of(found), self.state.clock.now)
            if (unit := outdated(self._registry, found)) != NONE:
                self._closer.give_up(unit, source)
                self._let_go_of_rows()
            if (full := self._no_place(found, source, crowded)) is not None:
                told.definitions[full.fate] += 1
                continue
            fits = register(self._registry, found, self.state.clock.now)
            told.definitions[DefinitionFate.TAKEN if fits else DefinitionFate.BUCKET_ABOVE_CAP] += 1
        return told

    def take(self, batch: SampleBatch, source: BatchSource, now: int) -> Told:
        """Take the rows of one source partition; `now` is the record's own time, 0 where it has none."""
        return self._take(self._live(), batch, source, now)

    def recall(self, batch: SampleBatch, source: BatchSource, now: int) -> Told:
        """Take rows that are marked as history, where nothing but history was taken; else they are only counted."""
        if is_live(self.state):
            told = self._begin()
            told.received, told.source = len(batch.offset), source.topic
            told.fates[RowFate.HISTORICAL] += len(batch.offset)
            return told
        self.state.history = True
        return self._take(self._begin(), batch, source, now)

    def _live(self) -> Told:
        given_up = give_up_history(self.state, self.config)
        told = self._begin()
        told.fates[RowFate.HISTORICAL] += given_up
        return told

    def _take(self, told: Told, batch: SampleBatch, source: BatchSource, now: int) -> Told:
        told.received, told.source = len(batch.offset), source.topic
        number = self._number(source.topic, source.partition)
        known = self.state.sources.all[number]
        columns = batch.series, batch.time, np.ascontiguousarray(batch.value), batch.offset
        raw, found = np.empty(len(batch.offset), np.int64), np.empty(len(batch.offset), np.uint8)
        seen = look(columns, known.mark, self._anew(batch, known), *self._registry.known(), raw, found)
        told.fates[RowFate.DUPLICATE] += int(seen[DUPLICATE])
        if seen[DUPLICATE] == len(raw):
            return told
        known.mark, known.latest = int(seen[HIGHEST]), max(known.latest, int(seen[LATEST]))
        if seen[UNKNOWN] and self._registry.asleep:
            self._rouse(batch, raw, found)
        for fate, kind in ((RowFate.UNKNOWN_SERIES, UNKNOWN), (RowFate.NOT_FINITE, NOT_FINITE)):
            told.fates[fate] += int((found == kind).sum())
        taken = found == TAKEN
        if not (count := int(taken.sum())):
            return told
        known.fed, first = True, not known.fed
        clock, rows = self.state.sources.clock(number, now), np.empty(count, ROW)
        came = arrange(columns, raw, found, number, clock, self.state.sources.lead(number), self._window_ms, rows)
        if self.state.history and first:
            reopen(self.state, int(rows["at"][0]) - self.config.out_of_order_ms(source.topic), self._window_ms)
        self.state.sources.came(number, came)
        self._closer.run(rows, batch.series[taken], self.config.allowed_lateness_ms(source.topic), source)
        return told

    def hear(self, heartbeat: Heartbeat, now: int) -> Told:
        """Take note that a source partition goes on which has no rows here; `now` is the record's own time."""
        told = self._live()
        sources = self.state.sources
        if (heartbeat.topic, heartbeat.partition) not in sources.numbers and len(sources.all) >= self.config.max_sources:
            return told
        number = self._number(heartbeat.topic, heartbeat.partition)
        known = sources.all[number]
        if heartbeat.offset <= known.mark:
            return told
        known.mark = heartbeat.offset
        lead = sources.lead(number)
        at, future, claim = clamped(heartbeat.at, sources.clock(number, now))
        newest = moved(lead.newest, at, future, lead.alone)
        sources.came(number, Came(newest, at, claim, not future))
        trigger = Position(topic=heartbeat.topic, partition=heartbeat.partition, offset=heartbeat.offset)
        self._closer.go_on(watermark(newest, lead) // self._window_ms, trigger)
        return told

    def tick(self, at: int, source: Position) -> Told:
        """Take a tick: sources that have been silent for long, or whose times are far from the others', are not waited for."""
        told = self._begin()
        sources = self.state.sources
        if self.state.history:
            return told  # no time passes for it
        if ahead := sources.compare(at):
            pull_back(self.state, ahead, self._window_ms)
        watermark = sources.pass_time(at)
        if watermark is not None:
            self._closer.close(watermark // self._window_ms, source)
        return told

    def _begin(self) -> Told:
        self._told = told = Told()
        told.fates[RowFate.GIVEN_UP] += self.state.given_up
        self.state.given_up = 0
        self._registry = self.state.registry
        self._closer = Closer(self.state, self.config, told)
        return told

    def _number(self, topic: str, partition: int) -> int:
        sources = self.state.sources
        if (topic, partition) not in sources.numbers and len(sources.all) >= self.config.max_sources:
            sources.replace(topic, partition)
            self._told.evicted_sources += 1
        return sources.number(topic, partition)

    def _anew(self, batch: SampleBatch, source: Source) -> int:
        """Return the first row of a source that was deleted and made again: it counts from 0, and its mark begins again too."""
        if (first := begins_anew(source.mark, source.latest, batch.offset, batch.time)) is None:
            return len(batch.offset)
        self._told.restarted_sources += 1
        source.latest = 0
        return first

    def _rouse(self, batch: SampleBatch, raw: Ints, found: NDArray[np.uint8]) -> None:
        """Let rows of series that are asleep be taken, too: they wake them."""
        asleep = (found == UNKNOWN) & sleeping(self._registry, batch.series, raw)
        bits = np.ascontiguousarray(batch.value).view(np.uint64)
        found[asleep] = np.where(np.isfinite(batch.value) | (bits == STALE_BITS), TAKEN, NOT_FINITE)[asleep]

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
        self._told.evicted += gone + sum(len(self._registry.members[unit]) for unit in silent)
        for unit in silent:
            self._closer.give_up(unit, source)
        self._let_go_of_rows()
        return gone > 0 or len(silent) > 0

    def _let_go_of_rows(self) -> None:
        """Drop waiting rows of series that were given up."""
        waiting = self.state.waiting
        kept = self._registry.raws.unit[waiting.raws] != NONE
        if not kept.all():
            waiting.rows = waiting.rows[kept]
        self._told.fates[RowFate.EVICTED] += len(kept) - len(waiting)
