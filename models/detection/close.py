"""Close windows: judge what came in each, once, find what fell silent, and say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from models.detection.combined import combine, give_up
from models.detection.fates import ARRIVALS, DefinitionFate, RowFate
from models.detection.judge import NEVER, ORDINARY, SILENT
from models.detection.leaks import notice, usual_of, watch
from models.detection.report import Place, anomaly, health, reason_of
from models.detection.rows import NO_ROWS
from models.detection.series.define import drop
from models.detection.series.dormant import forget, wake
from models.detection.series.increase import COUNTS, ENDED, PASSED, SAME_TIME
from models.detection.series.tables import NONE
from models.detection.silence import ActiveClock, look, open_slots
from models.detection.state import DetectState
from models.detection.window_kernel import ASLEEP, COURSE, DONE, FULL, HEALTH, NOT_CLOSING, Rows, Said, advance, begin_closing
from schemas.config.detect import DetectConfig
from schemas.health_record import HealthRecord, PositionRecord
from schemas.outcomes import Notice
from schemas.samples import Batches
from schemas.signals import Anomaly, AnomalyReason, Phase

FORCED_SHARE = 10  # of too many waiting rows the windows of the oldest part close at once
Fate = TypeVar("Fate", RowFate, DefinitionFate)
_FATES = {PASSED: RowFate.STALE, SAME_TIME: RowFate.SAME_TIME, ENDED: RowFate.ENDED, **dict(enumerate(ARRIVALS))}


@dataclass
class Told:
    """What one record brought about: signals in order, and what became of rows and definitions."""

    signals: list[Anomaly | HealthRecord] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    rows: Counter[tuple[str, RowFate]] = field(default_factory=Counter)  # by the topic they come from
    defined: Counter[tuple[str, DefinitionFate]] = field(default_factory=Counter)  # by their source
    evicted: int = 0  # series
    evicted_sources: int = 0
    evicted_leaks: int = 0  # metrics
    restarted_sources: int = 0
    historical: bool = False  # it follows from history, although the record is none
    received: Counter[str] = field(default_factory=Counter)  # rows of the record, whatever becomes of them, by the topic they come from

    @property
    def fates(self) -> Counter[RowFate]:
        return _by_fate(self.rows)

    @property
    def definitions(self) -> Counter[DefinitionFate]:
        return _by_fate(self.defined)

    def end(self, rows: Counter[str], fate: RowFate) -> None:
        """Count rows by topic that end alike."""
        self.rows.update({(topic, fate): count for topic, count in rows.items() if count})

    def receive(self, found: Batches) -> None:
        begin = 0
        for source, end in zip(found.sources, found.ends.tolist(), strict=True):
            self.received[source.topic] += end - begin
            begin = end


def _by_fate(counts: Counter[tuple[str, Fate]]) -> Counter[Fate]:
    found: Counter[Fate] = Counter()
    for (_, fate), count in counts.items():
        found[fate] += count
    return found


class Closer:
    """Takes rows to their windows and closes those, for one record."""

    def __init__(self, state: DetectState, config: DetectConfig, told: Told) -> None:
        self._state = state
        self._config = config
        self._told = told
        self._registry = state.registry
        self._window_ms = round(config.window_s * 1000)
        self._every_ms = state.registry.way.health_ms

    def run(self, rows: Any, ids: Any) -> None:
        """Handle rows, of `rows.ROW`, in their order; `ids` are their series."""
        state = self._state
        if state.closed is None:
            state.closed = int(min(rows["closing"][0], rows["window"][0]))
            state.told = self.boundary(state.closed * self._window_ms)

        def trigger(row: int) -> Place:
            topic, partition = state.sources.names()[rows["source"][row]]
            return PositionRecord(int(rows["offset"][row]), partition, topic)

        self._advance(rows, ids, trigger)

    def close(self, closed: int, source: Place) -> None:
        """Close all windows below this number; `source` is the record that decides it."""
        if self._state.closed is not None and closed > self._state.closed:
            self._advance(NO_ROWS, NO_ROWS["raw"], lambda _: source, closed)

    def go_on(self, closed: int, source: Place) -> None:
        """Close them, and know that the partition was fed until then, rows or none: what said nothing was silent."""
        if self._state.closed is not None and closed > self._state.closed:
            self._advance(NO_ROWS, NO_ROWS["raw"], lambda _: source, closed, fed=True)

    def give_up(self, unit: int, source: Place) -> None:
        """Drop a unit that nothing explains away; what is open on it ends without a recovery."""
        end = (self._state.closed or 0) * self._window_ms
        last = int(self._registry.insts.units[self._registry.units.inst[unit]]) == 1
        for slot in open_slots(self._registry, unit, whole=last):
            self._say(slot, Phase.CLOSED, AnomalyReason.GAVE_UP, end, source)
        drop(self._registry, unit)

    def boundary(self, at: int) -> int:
        """Return the newest moment of health up to this one."""
        return at // self._every_ms * self._every_ms

    def _advance(self, rows: Any, ids: Any, trigger: Callable[[int], Place], target: int | None = None, *, fed: bool = False) -> None:
        """Let compiled code go on until it is through, and do in between what it comes back for."""
        state, registry = self._state, self._registry
        courses, counts, version = self._course(), np.zeros((len(state.sources.table), COUNTS), np.int64), registry.version
        waiting = state.waiting
        waiting.ready(state.closed or 0, len(rows))
        due = np.empty(len(waiting.room), np.int32)
        known = Rows(rows, waiting.room, waiting.links, waiting.heads, waiting.shelf, due, state.sources.table)
        if target is not None:
            begin_closing(courses[0], known, target)
            courses["fed"] = fed
        while True:
            going = np.array(sorted(registry.going), np.int64)
            why, said = advance(registry.tables(), registry.way, courses, known, going, counts)
            row, until = self._keep(courses)
            if why == DONE:
                break
            if why == ASLEEP:
                self._wake(rows, ids, row)
            elif why == FULL:
                windows = np.sort(waiting.rows["window"])
                begin_closing(courses[0], known, int(windows[len(windows) // FORCED_SHARE]) + 1)
            elif why == HEALTH:
                self._report(until, trigger(row - 1))
                courses["health_at"] = state.told + self._every_ms
            else:
                self._judged(said, until, trigger(row - 1))
            if registry.version != version:
                version = registry.version
                rows["raw"][row:] = registry.find(ids[row:])
            if why == ASLEEP and rows["raw"][row] == NONE:
                raise RuntimeError(f"series {ids[row]:016x} is defined, and does not wake")
        names = state.sources.names()
        for source, place in np.argwhere(counts).tolist():
            self._told.rows[names[source][0], _FATES[place]] += int(counts[source, place])

    def _course(self) -> Any:
        state, clock = self._state, self._state.clock
        course = np.zeros(1, COURSE)
        course["target"], course["closed"] = NOT_CLOSING, state.closed
        course["health_at"] = self.boundary(state.told) + self._every_ms
        course["clock"], course["clock_usual"] = clock.now, clock.usual
        course["clock_last"] = NEVER if clock.last is None else clock.last
        return course

    def _keep(self, courses: Any) -> tuple[int, int]:
        """Put into the state how far it has come; return the row that is next, and the event time (ms) that it has come to."""
        state = self._state
        # As plain numbers: to read fields of a record one by one costs more than all else that is done here.
        row, _, _, _, closed, health_at, _, until, clock, last, _ = courses.view(np.int64).tolist()
        state.closed, state.told = closed, max(state.told, health_at - self._every_ms)
        state.clock = ActiveClock(clock, None if last == NEVER else last, float(courses["clock_usual"][0]))
        return row, until

    def _wake(self, rows: Any, ids: Any, row: int) -> None:
        """Make forgotten series anew, those of all rows until the next that lets windows close."""
        closing = np.flatnonzero(rows["closing"][row:] > self._state.closed)
        end = row + int(closing[0]) + 1 if len(closing) else len(rows)
        for series in ids[row:end][rows["raw"][row:end] == NONE].tolist():
            wake(self._registry, series, self._state.clock.now)

    def _judged(self, said: Said, end: int, source: Place) -> None:
        """Say what a window that ended then brought."""
        registry = self._registry
        for slot in said.opened.tolist():
            registry.going.add(slot)
            self._say(slot, Phase.OPENED, AnomalyReason.SHIFT, end, source)
        for slot, was_silent in zip(said.closed.tolist(), said.was_silent.tolist(), strict=True):
            registry.going.discard(slot)
            self._say(slot, Phase.CLOSED, AnomalyReason.SILENCE if was_silent else AnomalyReason.SHIFT, end, source)
        if said.quiet:
            self._listen(end, source)
        self._continue(end, source)

    def _listen(self, end: int, source: Place) -> None:
        """Find what fell silent, what that is explained by, and what has been silent for so long that its past says nothing."""
        registry, slots = self._registry, self._registry.slots
        found = look(registry, self._state.clock.now, self._state.waiting.raws, self._config)
        for slot in found.settled:
            reason = reason_of(registry, slot)
            slots.state[slot], slots.hits[slot] = ORDINARY, 0
            registry.going.discard(slot)
            self._say(slot, Phase.CLOSED, reason, end, source)
        for slot in found.silent:
            slots.state[slot], slots.opened[slot], slots.bad_at[slot] = SILENT, slots.newest[slot], end
            slots.peak[slot] = 0.0
            registry.going.add(slot)
            self._say(slot, Phase.OPENED, AnomalyReason.SILENCE, end, source)
        for unit in found.forgotten:
            forget(registry, unit)

    def _continue(self, end: int, source: Place) -> None:
        """Say of open anomalies, from time to time, that they go on."""
        slots = self._registry.slots
        every = round(self._config.continued_s * 1000)
        for slot in sorted(self._registry.going):
            if slots.state[slot] == SILENT:
                slots.bad_at[slot] = end
            if end - slots.said[slot] >= every:
                self._say(slot, Phase.CONTINUED, reason_of(self._registry, slot), end, source)

    def _say(self, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Place) -> None:
        self._registry.slots.said[slot] = at
        told = anomaly(self._registry, slot, phase, reason, at, source)
        departs = phase is Phase.OPENED and reason is AnomalyReason.SHIFT  # what is silent has no value now
        if departs and (found := usual_of(self._state.leaks, told.evidence, at)) is not None:
            told = told.model_copy(update={"evidence": told.evidence.model_copy(update={"usual": found})})
        self._told.signals.append(told)

    def _report(self, until: int, source: Place) -> None:
        """Tell the health of every service that is due by this time; after a gap only the newest."""
        boundary, told = self.boundary(until), self._state.told
        if boundary > told:
            self._state.told = boundary
            every_ms = self._registry.way.everyone_ms
            everyone = boundary // every_ms * every_ms > told  # also where the moment for all lies within the gap
            self._combine(boundary, source, everyone=everyone)
            if everyone:
                self._watch(boundary)
            self._told.signals += health(self._registry, self._state.directory, boundary, source, everyone=everyone)

    def _watch(self, at: int) -> None:
        """Look for slow leaks, and tell people of them; of history they are learned only."""
        turns, lost = watch(self._state.leaks, self._state.index, self._registry, at)
        self._told.evicted_leaks += lost
        if not self._state.history:
            self._told.notices += map(notice, turns)

    def _combine(self, at: int, source: Place, *, everyone: bool) -> None:
        """Judge the services by all their kinds together, and say what that opens and closes."""
        registry, directory = self._registry, self._state.directory
        for service in directory.of(registry).gone:
            slot = int(registry.pasts.slot[registry.past_of[service]])
            if registry.slots.state[slot] != ORDINARY:
                self._say(slot, Phase.CLOSED, AnomalyReason.GAVE_UP, at, source)
            give_up(registry, service)
        found = combine(registry, directory, at, everyone=everyone)
        for slot in found.opened:
            registry.going.add(slot)
            self._say(slot, Phase.OPENED, AnomalyReason.SHIFT, at, source)
        for slot in found.closed:
            registry.going.discard(slot)
            self._say(slot, Phase.CLOSED, AnomalyReason.SHIFT, at, source)
