"""Close windows: judge what came in each, once, find what fell silent, and say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from models.detection.fates import ARRIVALS, DefinitionFate, RowFate
from models.detection.judge import ORDINARY, SILENT, step
from models.detection.report import anomaly, health, reason_of
from models.detection.series.define import drop
from models.detection.series.derive import derive
from models.detection.series.dormant import forget
from models.detection.series.increase import Folded, Rows, fold_window, together
from models.detection.silence import hear, hear_again, look, open_slots
from models.detection.state import DetectState
from schemas.base import Position
from schemas.config.detect import DetectConfig
from schemas.signals import Anomaly, AnomalyReason, Health, Phase


@dataclass
class Told:
    """What one record brought about: signals in order, and what became of rows and definitions."""

    signals: list[Anomaly | Health] = field(default_factory=list)
    fates: Counter[RowFate] = field(default_factory=Counter)
    definitions: Counter[DefinitionFate] = field(default_factory=Counter)
    evicted: int = 0  # series
    evicted_sources: int = 0
    restarted_sources: int = 0
    received: int = 0  # rows of the record, whatever becomes of them
    source: str = ""  # topic that they come from


class Closer:
    """Closes the windows of one partition for one record; `source` is the record whose arrival decides."""

    def __init__(self, state: DetectState, config: DetectConfig, told: Told) -> None:
        self._state = state
        self._config = config
        self._told = told
        self._registry = state.registry
        self._window_ms = round(config.window_s * 1000)

    def close(self, closed: int, source: Position) -> None:
        """Close all windows below this number."""
        if self._state.closed is not None and closed > self._state.closed:
            self._judge_due(closed, source)
            self._report(closed * self._window_ms, source)

    def go_on(self, closed: int, source: Position) -> None:
        """Close them, and know that the partition was fed until then, rows or none: what said nothing was silent."""
        if self._state.closed is not None and closed > self._state.closed:
            self._judge_due(closed, source)
            end = closed * self._window_ms
            if self._state.clock.last is not None and end > self._state.clock.last:
                self._listen(self._state.clock.advance(end, self._window_ms), end, self._state.pending, source)
            self._report(end, source)

    def give_up(self, unit: int, source: Position) -> None:
        """Drop a unit that nothing explains away; what is open on it ends without a recovery."""
        end = (self._state.closed or 0) * self._window_ms
        last = int(self._registry.insts.units[self._registry.units.inst[unit]]) == 1
        for slot in open_slots(self._registry, unit, whole=last):
            self._say(slot, Phase.CLOSED, AnomalyReason.GAVE_UP, end, source)
        drop(self._registry, unit)

    def boundary(self, at: int) -> int:
        """Return the newest moment of health up to this one."""
        every = round(min(self._config.health_s, self._config.health_watched_s) * 1000)
        return at // every * every

    def _judge_due(self, closed: int, source: Position) -> None:
        state = self._state
        state.closed = closed
        if not state.pending:
            return
        rows = together(state.pending)
        due = rows.window < closed
        state.pending = [rest] if len(rest := rows.pick(~due)) else []
        rows = rows.pick(due)
        rows = rows.pick(np.lexsort((rows.offset, rows.source, rows.at, rows.raw, rows.window)))
        windows, starts = np.unique(rows.window, return_index=True)
        ends = [*starts[1:].tolist(), len(rows)][: len(windows)]
        for window, first, last in zip(windows.tolist(), starts.tolist(), ends, strict=True):
            self._report(window * self._window_ms, source)
            waiting = [*state.pending, rows.pick(slice(last, None))]
            self._judge(rows.pick(slice(first, last)), (window + 1) * self._window_ms, waiting, source)

    def _judge(self, rows: Rows, end: int, waiting: list[Rows], source: Position) -> None:
        """Judge one window's rows."""
        registry, config = self._registry, self._config
        ended = np.isnan(rows.value)
        valued = rows.pick(~ended) if ended.any() else rows
        folded = fold_window(valued, registry.raws)
        self._count(valued, folded, int(ended.sum()))
        if not len(folded.raw):
            self._end(rows.pick(ended))
            return
        heard = hear_again if self._state.clock.stands(end) else hear
        active = self._state.clock.advance(end, self._window_ms)
        slots, at, value = derive(registry, folded, end, active, config)
        was_silent = slots[registry.slots.state[slots] == SILENT].tolist()
        opened, closed = step(registry.slots, slots, at, value, config)
        for slot in opened.tolist():
            self._say(slot, Phase.OPENED, AnomalyReason.SHIFT, end, source)
        for slot in closed.tolist():
            self._say(slot, Phase.CLOSED, AnomalyReason.SILENCE if slot in was_silent else AnomalyReason.SHIFT, end, source)
        heard(registry, np.unique(registry.raws.unit[folded.raw]), active)
        self._end(rows.pick(ended))
        self._listen(active, end, waiting, source)

    def _count(self, rows: Rows, folded: Folded, ended: int) -> None:
        fates = self._told.fates
        judged = np.bincount(rows.arrival[folded.fresh], minlength=len(ARRIVALS)).tolist()
        fates.update(dict(zip(ARRIVALS, judged, strict=True)))
        passed = int(folded.passed.sum())
        fates[RowFate.STALE] += passed
        fates[RowFate.SAME_TIME] += len(rows) - sum(judged) - passed
        fates[RowFate.ENDED] += ended

    def _end(self, marks: Rows) -> None:
        """Take a producer's word that a series has ended: nobody misses it. Where the process went with it, `up` tells that."""
        raws = self._registry.raws
        newest = marks.raw[marks.at >= raws.last_t[marks.raw]]
        self._registry.units.gone[raws.unit[newest]] = True

    def _listen(self, active: int, end: int, waiting: list[Rows], source: Position) -> None:
        """Find what fell silent, what that is explained by, and what has been silent for so long that its past says nothing."""
        slots = self._registry.slots
        found = look(self._registry, active, waiting, self._config)
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
            forget(self._registry, unit)
        self._continue(end, source)

    def _continue(self, end: int, source: Position) -> None:
        """Say of open anomalies, from time to time, that they go on."""
        slots = self._registry.slots
        every = round(self._config.continued_s * 1000)
        state, said = slots.state[: slots.used], slots.said[: slots.used]
        slots.bad_at[: slots.used][state == SILENT] = end
        for slot in np.flatnonzero((state != ORDINARY) & (end - said >= every)).tolist():
            self._say(slot, Phase.CONTINUED, reason_of(self._registry, slot), end, source)

    def _say(self, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Position) -> None:
        self._registry.slots.said[slot] = at
        self._told.signals.append(anomaly(self._registry, slot, phase, reason, at, source))

    def _report(self, until: int, source: Position) -> None:
        """Tell the health of every service that is due by this time; after a gap only the newest."""
        boundary = self.boundary(until)
        if boundary > self._state.told:
            self._state.told = boundary
            self._told.signals += health(self._registry, self._state.directory, boundary, source)
