"""Fold samples into anomalies and health: rows wait for their window, windows close as the watermark passes, each is judged once.

A row is processed as if it came alone: it is put into its window, then the watermark moves, then windows close. Rows are handled
in runs between two closings, which gives the same result, so that decisions do not depend on how batches were cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from models.detection.judge import ORDINARY, SILENT, step
from models.detection.packed import Ints
from models.detection.report import anomaly, health, reason_of
from models.detection.series.define import drop, register
from models.detection.series.derive import derive
from models.detection.series.increase import Rows, fold_window, together
from models.detection.series.tables import NONE
from models.detection.silence import hear, look
from models.detection.state import DetectState
from schemas.base import Position
from schemas.config.detect import DetectConfig
from schemas.samples import BatchSource, SampleBatch, SeriesDef
from schemas.signals import Anomaly, AnomalyReason, Health, Phase

LARGEST = 1e30  # beyond it sums would leave the range of floats
EVICT_SHARE = 100  # of a full state one part in this many goes at once, the longest silent first
FORCED_SHARE = 10  # of too many waiting rows the windows of the oldest part close at once


@dataclass
class Told:
    """What one record brought about: signals in order, and the fate of each row."""

    signals: list[Anomaly | Health] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    evicted: int = 0


class Detector:
    """Folds records of one partition into its state; holds nothing of its own."""

    def __init__(self, state: DetectState, config: DetectConfig) -> None:
        self.state = state
        self.config = config
        self._registry = state.registry
        self._window_ms = round(config.window_s * 1000)
        self._lateness_ms = round(config.lateness_s * 1000)
        self._told = Told()

    def define(self, definitions: list[SeriesDef]) -> Told:
        """Take in what series ids mean; where there are too many, the longest silent make room."""
        self._told = told = Told()
        for found in definitions:
            if found.mapped and not register(self._registry, found):
                told.fates["bucket_above_cap"] += 1
        if self._registry.raws.count > self.config.max_series:
            self._evict()
        return told

    def take(self, batch: SampleBatch, source: BatchSource, now: int) -> Told:
        """Take the rows of one source partition; `now` is the record's own time, 0 where it has none."""
        self._told = told = Told()
        number = self.state.sources.number(source.topic, source.partition)
        known = self.state.sources.all[number]
        fresh = batch.offset > known.mark
        told.fates["duplicate"] += len(fresh) - int(fresh.sum())
        if not fresh.any():
            return told
        known.mark = int(batch.offset[fresh].max())
        raw = self._registry.find(batch.series)
        finite = np.isfinite(batch.value)
        told.fates["unknown_series"] += int((fresh & (raw == NONE)).sum())
        told.fates["not_finite"] += int((fresh & (raw != NONE) & ~finite).sum())
        chosen = fresh & (raw != NONE) & finite
        if not chosen.any():
            return told
        at = self._clamp(batch.time[chosen], now)
        rows = Rows(
            raw=raw[chosen],
            at=at,
            value=np.clip(batch.value[chosen], -LARGEST, LARGEST),
            source=np.full(len(at), number, np.int64),
            offset=batch.offset[chosen].astype(np.int64),
            window=at // self._window_ms,
        )
        self._run(rows, self.state.sources.watermarks(number, at, self._lateness_ms) // self._window_ms, source)
        return told

    def tick(self, at: int, source: Position) -> Told:
        """Take a tick: sources that have been silent for long are not waited for."""
        self._told = told = Told()
        watermark = self.state.sources.pass_time(at, round(self.config.idle_s * 1000), self._lateness_ms, self._window_ms)
        if watermark is not None and self.state.closed is not None:
            self._close(watermark // self._window_ms, source)
        return told

    def _clamp(self, at: Ints, now: int) -> Ints:
        """Take rows of clocks that run ahead at their record's time."""
        if now <= 0:
            return at
        ahead = at > now + self.config.future_s * 1000
        self._told.fates["clamped"] += int(ahead.sum())
        return np.where(ahead, now, at)

    def _run(self, rows: Rows, closable: Ints, source: BatchSource) -> None:
        """Handle rows in runs: `closable[i]` is the number of the first window that stays open after row i."""
        state = self.state
        if state.closed is None:
            state.closed = int(rows.window[0]) if closable[0] > rows.window[0] else int(closable[0])
            state.told = self._boundary(state.closed * self._window_ms)
        start = 0
        while start < len(rows):
            closes = np.flatnonzero(closable[start:] > state.closed)
            end = start + int(closes[0]) + 1 if len(closes) else len(rows)
            end = min(end, start + max(1, self.config.max_pending - self._waiting()))
            self._wait(rows.pick(slice(start, end)))
            trigger = Position(topic=source.topic, partition=source.partition, offset=int(rows.offset[end - 1]))
            if closable[end - 1] > state.closed:
                self._close(int(closable[end - 1]), trigger)
            elif self._waiting() >= self.config.max_pending:
                self._force(trigger)
            start = end

    def _wait(self, rows: Rows) -> None:
        """Put rows into their windows. A late row that is news of its series goes into the oldest open one, another is dropped."""
        closed = self.state.closed or 0
        late = rows.window < closed
        if late.any():
            stale = late & (rows.at <= self._registry.raws.last_t[rows.raw])
            self._told.fates["late"] += int(stale.sum())
            self._told.fates["late_moved"] += int((late & ~stale).sum())
            rows = Rows(rows.raw, rows.at, rows.value, rows.source, rows.offset, np.maximum(rows.window, closed)).pick(~stale)
        if len(rows):
            self.state.pending.append(rows)

    def _waiting(self) -> int:
        return sum(map(len, self.state.pending))

    def _force(self, trigger: Position) -> None:
        """Close the oldest windows before their time: a source lags too far behind the others."""
        windows = np.sort(np.concatenate([rows.window for rows in self.state.pending]))
        self._close(int(windows[len(windows) // FORCED_SHARE]) + 1, trigger)

    def _close(self, closed: int, source: Position) -> None:
        """Close all windows below this number."""
        state = self.state
        if state.closed is None or closed <= state.closed:
            return
        state.closed = closed
        if state.pending:
            rows = together(state.pending)
            due = rows.window < closed
            state.pending = [rest] if len(rest := rows.pick(~due)) else []
            rows = rows.pick(due)
            rows = rows.pick(np.lexsort((rows.offset, rows.source, rows.at, rows.raw, rows.window)))
            windows, starts = np.unique(rows.window, return_index=True)
            for window, first, last in zip(
                windows.tolist(), starts.tolist(), [*starts[1:].tolist(), len(rows)][: len(windows)], strict=True
            ):
                self._report(window * self._window_ms, source)
                self._judge(rows.pick(slice(first, last)), (window + 1) * self._window_ms, source)
        self._report(closed * self._window_ms, source)

    def _judge(self, rows: Rows, end: int, source: Position) -> None:
        """Judge one window's rows."""
        registry, config = self._registry, self.config
        folded = fold_window(rows, registry.raws)
        self._told.fates["folded"] += folded.rows
        self._told.fates["same_time"] += folded.repeated
        if not len(folded.raw):
            return
        active = self.state.clock.advance(end, self._window_ms)
        slots, at, value = derive(registry, folded, end, active, config)
        was_silent = slots[registry.slots.state[slots] == SILENT].tolist()
        opened, closed = step(registry.slots, slots, at, value, config)
        for slot in opened.tolist():
            self._say(slot, Phase.OPENED, AnomalyReason.SHIFT, end, source)
        for slot in closed.tolist():
            self._say(slot, Phase.CLOSED, AnomalyReason.SILENCE if slot in was_silent else AnomalyReason.SHIFT, end, source)
        hear(registry, np.unique(registry.raws.unit[folded.raw]), active)
        self._listen(active, end, source)
        self._go_on(end, source)

    def _listen(self, active: int, end: int, source: Position) -> None:
        """Find what fell silent, and give up what has been silent for long."""
        slots = self._registry.slots
        found = look(self._registry, active, self.config)
        for slot in found.settled:
            reason = reason_of(self._registry, slot)
            slots.state[slot] = ORDINARY
            slots.hits[slot] = 0
            self._say(slot, Phase.CLOSED, reason, end, source)
        for slot in found.silent:
            slots.state[slot], slots.opened[slot], slots.bad_at[slot] = SILENT, slots.times[slot, -1], end
            slots.peak[slot] = 0.0
            self._say(slot, Phase.OPENED, AnomalyReason.SILENCE, end, source)
        for unit in found.forgotten:
            drop(self._registry, unit)

    def _go_on(self, end: int, source: Position) -> None:
        """Say of open anomalies, from time to time, that they go on."""
        slots = self._registry.slots
        every = round(self.config.continued_s * 1000)
        state, said = slots.state[: slots.used], slots.said[: slots.used]
        slots.bad_at[: slots.used][state == SILENT] = end
        for slot in np.flatnonzero((state != ORDINARY) & (end - said >= every)).tolist():
            self._say(slot, Phase.CONTINUED, reason_of(self._registry, slot), end, source)

    def _say(self, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Position) -> None:
        self._registry.slots.said[slot] = at
        self._told.signals.append(anomaly(self._registry, slot, phase, reason, at, source))

    def _report(self, until: int, source: Position) -> None:
        """Tell the health of every service that is due by this time; after a gap only the newest."""
        boundary = self._boundary(until)
        if boundary > self.state.told:
            self.state.told = boundary
            self._told.signals += health(self._registry, self.state.directory, boundary, source)

    def _boundary(self, at: int) -> int:
        every = round(min(self.config.health_s, self.config.health_watched_s) * 1000)
        return at // every * every

    def _evict(self) -> None:
        units = self._registry.units
        live = np.flatnonzero(units.inst[: units.used] != NONE)
        order = live[np.argsort(units.heard[live], kind="stable")].tolist()
        while order and self._registry.raws.count > self.config.max_series * (1 - 1 / EVICT_SHARE):
            unit = order.pop(0)
            self._told.evicted += len(self._registry.members[unit])
            drop(self._registry, unit)
        held = {row for rows in self.state.pending for row in rows.raw.tolist()}
        if held:
            self._let_go_of_rows()

    def _let_go_of_rows(self) -> None:
        """Drop waiting rows of series that were given up."""
        units = self._registry.raws.unit
        kept = [rows.pick(units[rows.raw] != NONE) for rows in self.state.pending]
        self._told.fates["evicted"] += sum(map(len, self.state.pending)) - sum(map(len, kept))
        self.state.pending = [rows for rows in kept if len(rows)]
