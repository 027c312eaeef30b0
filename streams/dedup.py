"""dedup: of the many notifications of an alert, the few that are news.

Watermark of a partition = its newest event time minus the lateness. A tick moves it only after IDLE_MS without a notification,
and then by the time that has passed since the last one: event time stays the events' own, whatever the clock says.
Duplicates are dropped by a high-water mark a source partition: a crash of normalise repeats them in their order. A source that begins
anew (its topic was deleted and made again) is told by its event times, and its first alert is told like any other.
A notification from the future counts as of now: one host with a wrong clock must not move everybody's watermark.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge
from pydantic import TypeAdapter

from models.alerts.window import LATENESS_MS, WINDOW_MS, Tracked, Word, add, alone, begin, close, say
from models.marks import Mark, Standing, judge
from schemas.alerts import ALERT_RECORDS, AlertEvent
from schemas.base import derive_id
from schemas.signals import Alert, AlertReason, Tick
from schemas.topics import ALERTS, SIGNALS
from streams.harness.emit import emit, parse, position
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import AnotherLog, Output, Record, Stage

NAME = "dedup"
TICK_EVERY_S = 5.0
IDLE_MS = 60_000  # of the clock, without a notification
SWEEP_MS = 1_000  # of event time between looks for windows to close: a look visits all of them
CAPACITY = 20_000  # fingerprints with an open window, a partition; about 2 kB each
MARKS = 2_000  # source partitions, a partition of this log; about 100 bytes each
AHEAD_MS = 5_000  # of `now`: hosts' clocks differ by seconds; what is further ahead tells nothing of when it was
EVICT_SHARE = 100  # of a full state one part in this many goes at once, the longest silent first

EVENTS = Counter("airra_dedup_events_total", "alert notifications by fate", ["fate"])
ALERTS_OUT = Counter("airra_dedup_alerts_total", "deduplicated alerts emitted, by reason", ["reason"])
EVICTED = Counter("airra_dedup_evicted_fingerprints_total", "fingerprints given up for want of room")
EVICTED_MARKS = Counter("airra_dedup_evicted_marks_total", "source partitions forgotten for want of room, the longest unheard first")
RESTARTED = Counter("airra_dedup_restarted_sources_total", "raw topics that began anew under the same name")
TRACKED = Gauge("airra_dedup_tracked_fingerprints", "fingerprints with an open window", ["partition"])


@dataclass(slots=True)
class DedupState:
    newest: int = 0  # event time
    heard_at: int = 0  # append time of the newest notification
    watermark: int = 0
    swept: int = 0  # the watermark when windows were last closed
    marks: dict[str, Mark] = field(default_factory=dict)  # by source partition, the longest unheard first
    tracked: dict[str, Tracked] = field(default_factory=dict)


_STATE = TypeAdapter(DedupState)


def restore(data: bytes | None) -> DedupState:
    return DedupState() if data is None else _STATE.validate_json(data)


def snapshot(state: DedupState) -> bytes:
    return _STATE.dump_json(state)


def apply(state: DedupState, record: Record, now: int, capacity: int = CAPACITY) -> list[Output]:
    event = parse(ALERT_RECORDS, record)
    if isinstance(event, Tick):
        idle = event.at - state.heard_at
        if not state.heard_at or idle < IDLE_MS:
            return []
        words = _advance(state, state.newest + idle)
    else:
        words = _take(state, event, record, now, capacity)
    TRACKED.labels(record.partition).set(len(state.tracked))
    return [_output(word, record, index) for index, word in enumerate(words)]


def stage() -> Stage[DedupState]:
    return Stage(
        name=NAME,
        topic=ALERTS.name,
        restore=restore,
        apply=apply,
        snapshot=snapshot,
        tick_every_s=TICK_EVERY_S,
        another_log=AnotherLog.GO_ON,  # marks and windows are about the sources and their alerts
    )


def _take(state: DedupState, event: AlertEvent, record: Record, now: int, capacity: int) -> list[Word]:
    if _is_repeat(state, event):
        EVENTS.labels("duplicate").inc()
        return []
    if record.header(BACKFILL_HEADER) is not None:  # told by itself: what it opened would be closed by a record without a mark
        EVENTS.labels("historical").inc()
        return [alone(event, position(record))]
    state.heard_at = max(state.heard_at, now)
    said, event = event, _no_later(event, now)
    if event.at + WINDOW_MS <= state.watermark:
        return _late(state, event, record)
    EVENTS.labels("counted" if event is said else "clamped").inc()
    tracked = state.tracked.get(event.fingerprint)
    words = [] if tracked is not None else _make_room(state, capacity)
    if tracked is None:
        tracked = state.tracked[event.fingerprint] = begin(event, position(record))
    word = add(tracked, event, position(record))
    if word is not None:
        words.append(word)
    state.newest = max(state.newest, event.at)
    return words + _advance(state, state.newest)


def _is_repeat(state: DedupState, event: AlertEvent) -> bool:
    """Tell whether a notification was taken before; move its source's mark where it was not."""
    source = f"{event.source.topic}/{event.source.partition}"
    mark, standing = judge(state.marks.get(source), (event.source.offset, event.index), event.at)
    if standing is Standing.REPEAT:
        return True
    if standing is Standing.RESTARTED:
        RESTARTED.inc()
    state.marks.pop(source, None)  # to the end: the order is that of the last hearing
    state.marks[source] = mark
    while len(state.marks) > MARKS:
        del state.marks[next(iter(state.marks))]
        EVICTED_MARKS.inc()
    return False


def _no_later(event: AlertEvent, now: int) -> AlertEvent:
    return event if event.at <= now + AHEAD_MS else event.model_copy(update={"at": now})


def _late(state: DedupState, event: AlertEvent, record: Record) -> list[Word]:
    """Tell even a late notification, by itself; but where a newer word on the same alert is known, that one stands."""
    if event.fingerprint in state.tracked:
        EVENTS.labels("late_superseded").inc()
        return []
    EVENTS.labels("late").inc()
    return [alone(event, position(record))]


def _advance(state: DedupState, newest: int) -> list[Word]:
    """Move the watermark and close what it has passed, in the order of the windows' ends."""
    watermark = newest - LATENESS_MS
    if watermark <= state.watermark:
        return []
    state.watermark = watermark
    if watermark - state.swept < SWEEP_MS:
        return []
    state.swept = watermark
    due = sorted((one.windows[0].end, name) for name, one in state.tracked.items() if one.windows[0].end <= watermark)
    words: list[Word] = []
    for _, name in due:
        tracked = state.tracked[name]
        words += close(tracked, watermark)
        if not tracked.windows:
            del state.tracked[name]
    return words


def _make_room(state: DedupState, capacity: int) -> list[Word]:
    """Give up the alerts that were silent longest, telling their final counts."""
    if len(state.tracked) < capacity:
        return []
    oldest = heapq.nsmallest(max(1, capacity // EVICT_SHARE), state.tracked.items(), key=lambda item: (item[1].last, item[0]))
    words: list[Word] = []
    for name, tracked in oldest:
        del state.tracked[name]
        EVICTED.inc()
        words += [say(tracked, window, AlertReason.CLOSED) for window in tracked.windows if window.count != window.said_count]
    return words


def _output(word: Word, record: Record, index: int) -> Output:
    tracked, window = word.tracked, word.window
    newest = tracked.newest
    ALERTS_OUT.labels(word.reason).inc()
    alert = Alert(
        id=derive_id("alt", newest.fingerprint, position(record), index),
        fingerprint=newest.fingerprint,
        service=newest.service,
        name=newest.name,
        severity=window.severity,
        firing=newest.firing,
        count=window.count,
        first=window.first,
        last=window.last,
        reason=word.reason,
        summary=newest.summary,
        labels=newest.labels,
        source=tracked.position,
    )
    return emit(SIGNALS, alert.service, alert)
