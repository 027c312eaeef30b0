"""Slow leaks, which no band sees: the hourly means of each metric of a service, against the same hour of the day and the week before.

A reading a minute, the mean over the instances, which also teaches what is usual at this time (usual.py); an hour's mean goes through the
test of `models/surprise/drift.py`. People are told, once a week is known; nothing is opened, and so nothing is done about it by itself: a
leak of one percent an hour leaves a night to look.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.combined import STALE_HEALTHS
from models.detection.judge import PLACES
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from models.detection.usual import Reading, Seen, learn, set_back, usual
from models.surprise.drift import LEAST, WEEK, Leak
from models.surprise.kept import Kept
from models.surprise.past import DRIFTED, DRIFTS
from models.surprise.rule import Rule, rule_of
from models.surprise.season_kernel import HOUR_MS
from schemas.base import derive_id
from schemas.kinds import Direction, Kind, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import SeriesEvidence, Usual

MINUTE_MS = 60_000
KINDS = frozenset({Kind.LATENCY, Kind.ERRORS, Kind.MEMORY, Kind.POOL, Kind.CACHE, Kind.SATURATION})  # harm that grows slowly


class Course(msgspec.Struct, gc=False):
    """One metric of a service: what was read in this hour, and what is kept of the hours before."""

    service: str
    kind: Kind
    metric: str
    unit: str
    direction: Direction
    hour: int = -1  # since 1970
    total: float = 0.0
    count: int = 0
    leak: Kept = msgspec.field(default_factory=Kept)
    told: int | None = None  # ms: people were told of a leak that was found then
    series: int = 0  # of which it is the mean
    seen: Seen = msgspec.field(default_factory=Seen)  # minute by minute


class Leaks(msgspec.Struct):
    """The courses of one partition, by service, kind and metric."""

    minute: int = -1  # since 1970; of the newest reading
    hour: int = -1  # in which room was last looked for
    courses: dict[str, Course] = {}


class Index:
    """Which derived series each course is read from, while the registry does not change."""

    def __init__(self) -> None:
        self._version = -1
        self.courses: list[Course] = []  # that are read
        self.rules: list[Rule] = []  # by which each is scored
        self._rules: dict[str, Rule] = {}  # by metric; those that say the same are one object
        self._members: NDArray[np.int32] = np.zeros(0, np.int32)
        self._starts: NDArray[np.int64] = np.zeros(0, np.int64)

    def renew(self, leaks: Leaks, registry: Registry, hour: int) -> int:
        """Take in what there is, once an hour and when the registry has changed; return how many metrics found no place, or lost theirs.

        A restart between two changes, or hours, finds everything as it is.
        """
        if (self._version, leaks.hour) == (registry.version, hour):
            return 0
        self._version, leaks.hour = registry.version, hour
        slots: dict[tuple[str, Kind, str], list[int]] = {}
        table, kinds = registry.slots, [PLACES[kind] for kind in KINDS]
        service, judged, kind = (column[: table.used] for column in (table.service, table.judged, table.kind))
        for slot in np.flatnonzero((service != NONE) & judged & np.isin(kind, kinds)).tolist():
            meta = registry.metas[slot]
            slots.setdefault((meta.service, meta.kind, meta.metric), []).append(slot)
        wanted = {_name(service, kind, metric): own for (service, kind, metric), own in sorted(slots.items())}
        lost = _make_room(leaks, set(wanted), registry.config.max_leaks, hour)
        for name, own in wanted.items():
            if name in leaks.courses:
                continue
            if len(leaks.courses) >= registry.config.max_leaks:
                lost += 1
                continue
            meta = registry.metas[own[0]]
            leaks.courses[name] = Course(meta.service, meta.kind, meta.metric, meta.unit, meta.direction)
        read = [name for name in wanted if name in leaks.courses]
        self.courses = [leaks.courses[name] for name in read]
        for name, course in zip(read, self.courses, strict=True):
            course.series = len(wanted[name])
            if course.metric not in self._rules:
                rule = rule_of(registry.config.score.of(course.metric))
                self._rules[course.metric] = next((known for known in self._rules.values() if known == rule), rule)
        self.rules = [self._rules[course.metric] for course in self.courses]
        self._members = np.array([slot for name in read for slot in wanted[name]], np.int32)
        self._starts = np.cumsum([0, *(len(wanted[name]) for name in read)])[:-1]
        return lost

    def readings(self, registry: Registry, since: int) -> tuple[list[float], list[int]]:
        """Return the mean of each course over the series that were heard of since then (ms), and how many those are."""
        if not self.courses:
            return [], []
        heard: NDArray[np.bool_] = registry.slots.newest[self._members] >= since
        counts = np.add.reduceat(heard.astype(np.int64), self._starts)
        sums = np.add.reduceat(np.where(heard, registry.slots.value[self._members], 0.0), self._starts)
        return (sums / np.maximum(counts, 1)).tolist(), counts.tolist()


class Turn(NamedTuple):
    """A leak that is to be told of, or has ended: when it was found, and the end of the hour that decided, in ms."""

    course: Course
    leak: Leak
    begins: bool
    since: int
    at: int


def watch(leaks: Leaks, index: Index, registry: Registry, at: int) -> tuple[list[Turn], int]:
    """Take a reading if the minute has none yet; return what is to be told, and how many metrics had no room. `at` is event time, ms."""
    minute, hour = at // MINUTE_MS, at // HOUR_MS
    if minute <= leaks.minute:
        return [], 0
    leaks.minute = minute
    lost = index.renew(leaks, registry, hour)
    since = at - STALE_HEALTHS * round(registry.config.health_s * 1000)
    found, taken = [], []
    for course, rule, mean, count in zip(index.courses, index.rules, *index.readings(registry, since), strict=True):
        if not count:
            continue
        taken.append(Reading(course.seen, mean, rule))
        if (turn := _take(course, hour, mean, registry)) is not None:
            found.append(turn)
    learn(taken, at)
    return found, lost


def usual_of(leaks: Leaks, evidence: SeriesEvidence, at: int) -> Usual | None:
    """Return what this series usually is at this time (ms), where that is most of its departure; None also of one series among several.

    Of those the mean alone is known, and what is usual of it says nothing of one.
    """
    course = leaks.courses.get(_name(evidence.service, evidence.kind, evidence.metric))
    if course is None or course.series != 1:
        return None
    return usual(course.seen, at, evidence.value, evidence.baseline)


def _name(service: str, kind: Kind, metric: str) -> str:
    return derive_id("lea", service, kind, metric)


def pull_back(leaks: Leaks, than: int) -> None:
    """Let no reading lie beyond this time (ms): a source that was ahead had brought it there, and there would be none until then."""
    leaks.minute = min(leaks.minute, than // MINUTE_MS - 1)
    for course in leaks.courses.values():
        if course.hour > than // HOUR_MS:
            course.hour, course.total, course.count = than // HOUR_MS, 0.0, 0
        set_back(course.seen, than)


def _take(course: Course, hour: int, mean: float, registry: Registry) -> Turn | None:
    turn = None
    if hour < course.hour:
        return None  # history of a source that comes after another one
    if hour > course.hour:
        if course.count >= LEAST:
            turn = _hourly(course, registry)
        course.hour, course.total, course.count = hour, 0.0, 0
    course.total += mean
    course.count += 1
    return turn


def _hourly(course: Course, registry: Registry) -> Turn | None:
    leak = course.leak.open()
    event = leak.take(course.hour, course.total / course.count, registry.config.score.of(course.metric))
    course.leak = Kept(leak)
    end = (course.hour + 1) * HOUR_MS
    if event == DRIFTS and leak.sure and _is_bad(leak, course.direction):
        course.told = end
        return Turn(course, leak, True, end, end)
    if event == DRIFTED and (since := course.told) is not None:
        course.told = None
        return Turn(course, leak, False, since, end)
    return None


def _is_bad(leak: Leak, direction: Direction) -> bool:
    """Tell whether a metric of this direction moves where it should not go."""
    both = direction not in {Direction.UP, Direction.DOWN}  # as the band takes it
    return both or (direction is Direction.UP) == leak.rises


def _make_room(leaks: Leaks, wanted: set[str], most: int, hour: int) -> int:
    """Forget what was not heard of for a week, and where there is no room, the longest unheard that is gone; return how many of these."""
    for name in [name for name, course in leaks.courses.items() if name not in wanted and hour - course.hour > WEEK]:
        del leaks.courses[name]
    over = len(leaks.courses.keys() | wanted) - most
    gone = sorted(leaks.courses.keys() - wanted, key=lambda name: (leaks.courses[name].hour, name))[: max(0, over)]
    for name in gone:
        del leaks.courses[name]
    return len(gone)


def notice(turn: Turn) -> Notice:
    """Say it to people: how it is, how it was a day and a week before."""
    course, leak = turn.course, turn.leak
    before = [f"{value:.6g} {when} before" for value, when in ((leak.day, "a day"), (leak.week, "a week")) if value is not None]
    end = f"{'rises' if leak.rises else 'falls'} slowly" if turn.begins else "is as before, or this is the new normal"
    return Notice(
        id=derive_id("ntc", NoticeKind.DRIFT, course.service, course.kind, course.metric, turn.since, turn.begins),
        kind=NoticeKind.DRIFT,
        incident="",
        severity=Severity.WARNING if turn.begins else Severity.INFO,
        title=f"{course.service}: {course.metric} {end}",
        text=f"{', '.join([f'the last hour {leak.mean:.6g}', *before])} ({course.unit or 'no unit'}); nothing is opened, nothing is done",
        at=turn.at,
    )
