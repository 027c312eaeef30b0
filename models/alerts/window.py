"""Event-time windows over the notifications of an alert: first, last, count, highest severity; when to say it again.

A window is the 300 s from an alert's first notification (heritage.md); the next notification after it begins another. As long as
notifications are out of order by less than `LATENESS_MS`, windows come out alike in any order: a window's start may only move
back to a time from which every notification seen so far is still inside it, because the watermark bounds how far ahead they are.
Times are milliseconds of event time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.alerts import AlertEvent
from schemas.base import Position
from schemas.kinds import Severity
from schemas.signals import AlertReason

WINDOW_MS = 300_000
LATENESS_MS = 60_000  # how far notifications may be out of order; must stay below the window
UPDATE_MS = 30_000  # between updated counts of an alert that merely repeats


@dataclass(slots=True)
class Window:
    first: int
    last: int
    count: int
    severity: Severity
    said_at: int  # event time of the newest notification when it was last said
    said_count: int

    @property
    def end(self) -> int:
        return self.first + WINDOW_MS

    def holds(self, at: int) -> bool:
        return self.first <= at < self.end

    def reaches(self, at: int) -> bool:
        """Tell whether the window may begin at this earlier time with all that it has counted."""
        return at < self.first and self.last < at + WINDOW_MS


@dataclass(slots=True)
class Tracked:
    """One fingerprint with its open windows, oldest first, and its newest notification."""

    newest: AlertEvent
    position: Position  # of the newest notification's record on the log that is folded
    said_firing: bool
    windows: list[Window] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.windows[-1].last


@dataclass(frozen=True, slots=True)
class Word:
    """Something to say about a window of a tracked alert."""

    tracked: Tracked
    window: Window
    reason: AlertReason


def begin(event: AlertEvent, position: Position) -> Tracked:
    """Return a fingerprint not seen before, without a window."""
    return Tracked(newest=event, position=position, said_firing=event.firing)


def add(tracked: Tracked, event: AlertEvent, position: Position) -> Word | None:
    """Count one notification in its window; return what there is to say, if anything."""
    if _order(event) > _order(tracked.newest):
        tracked.newest, tracked.position = event, position
    window = next((one for one in tracked.windows if one.holds(event.at)), None)
    if window is None:
        window = next((one for one in tracked.windows if one.reaches(event.at)), None)
    if window is None:
        window = Window(first=event.at, last=event.at, count=0, severity=event.severity, said_at=event.at, said_count=0)
        tracked.windows.append(window)
        tracked.windows.sort(key=lambda one: one.first)
    rose = event.severity.rank > window.severity.rank
    window.first, window.last = min(window.first, event.at), max(window.last, event.at)
    window.count += 1
    window.severity = event.severity if rose else window.severity
    reason = _reason(tracked, window, rose=rose)
    return None if reason is None else say(tracked, window, reason)


def say(tracked: Tracked, window: Window, reason: AlertReason) -> Word:
    """Mark a window as told."""
    tracked.said_firing = tracked.newest.firing
    window.said_at, window.said_count = window.last, window.count
    return Word(tracked, window, reason)


def close(tracked: Tracked, watermark: int) -> list[Word]:
    """Take out the windows that no notification can join any more; return the final counts that have not been said."""
    closed = [window for window in tracked.windows if window.end <= watermark]
    tracked.windows = [window for window in tracked.windows if window.end > watermark]
    return [say(tracked, window, AlertReason.CLOSED) for window in closed if window.count != window.said_count]


def alone(event: AlertEvent, position: Position) -> Word:
    """Return the word on a notification whose window has closed: late, but nobody is left untold."""
    window = Window(first=event.at, last=event.at, count=1, severity=event.severity, said_at=event.at, said_count=1)
    return Word(Tracked(event, position, event.firing, [window]), window, AlertReason.LATE)


def _reason(tracked: Tracked, window: Window, *, rose: bool) -> AlertReason | None:
    if tracked.newest.firing != tracked.said_firing:
        return AlertReason.REFIRED if tracked.newest.firing else AlertReason.RESOLVED
    if window.count == 1:
        return AlertReason.FIRST if tracked.newest.firing else AlertReason.RESOLVED
    if rose:
        return AlertReason.SEVERITY
    return AlertReason.REPEATED if window.last - window.said_at >= UPDATE_MS else None


def _order(event: AlertEvent) -> tuple[int, bool, str, int, int, int]:
    """Order notifications in time; of two at one time the resolved is the newer, and position decides the rest."""
    source = event.source
    return (event.at, not event.firing, source.topic, source.partition, source.offset, event.index)
