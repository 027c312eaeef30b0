"""What correlate remembers: bounded tables, each eviction counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter

from schemas.base import Position
from schemas.incidents import Suspect
from schemas.kinds import Kind, Severity
from schemas.signals import Alert, Anomaly, Change, Health, Topology

Entry = TypeVar("Entry")

MAX_SOURCES = 50  # positions in one record: the newest
FOR_GOOD = 1 << 62
ENDED_KEPT = 4096  # closed anomalies whose late repeats must not open anything
GAP_MS = 30_000  # detect tells of every service each 10 s: a longer gap is an outage of readings, and nobody's silence


@dataclass
class Waiting:
    """An open anomaly that belongs to no incident yet."""

    anomaly: Anomaly
    since: int  # ms, wall: when it was first heard of
    source: Position


@dataclass
class OpenIncident:
    """An incident in its life; times in ms, wall unless they say event."""

    id: str
    opened_at: int  # event time of its first anomaly
    opened_wall: int
    next_flush: int
    severity: Severity
    version: int = 0
    suspects: dict[str, Suspect] = field(default_factory=dict)  # by anomaly id
    heard: dict[str, int] = field(default_factory=dict)  # by anomaly id: what `listened` was when it was last mentioned
    read_at: dict[str, int] = field(default_factory=dict)  # by anomaly id: event time of its evidence
    opening_alerts: list[str] = field(default_factory=list)  # fingerprints of alerts that opened it by themselves
    alert_services: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # anomaly ids closed without a recovery seen
    unseen_alerts: list[str] = field(default_factory=list)  # names of opening alerts that were never resolved
    quiet_since: int | None = None
    dirty: bool = False  # someone joined: tell at the next tick
    newcomers: list[str] = field(default_factory=list)  # services that joined since people were told
    told_at: int = 0  # when they were
    sources: list[Position] = field(default_factory=list)

    def members(self) -> set[str]:
        return {suspect.evidence.service for suspect in self.suspects.values()} | set(self.alert_services)

    def see(self, anomaly: str, *, lost: bool) -> None:
        """Remember whether an anomaly was lost from sight: its end is then no recovery."""
        self.unseen = [other for other in self.unseen if other != anomaly] + [anomaly] * lost

    def cite(self, source: Position) -> None:
        """Remember which signal made the next version."""
        self.sources = [*self.sources, source][-MAX_SOURCES:]


@dataclass
class CorrelateState:
    clock: int = 0  # ms, wall: append time of the newest record
    event_clock: int = 0  # ms, event time of the newest reading
    listened: int = 0  # ms of event time in which readings came
    topology: Topology | None = None  # nodes as later changes left them
    topology_digest: str = ""  # of the file: the same file told again changes nothing
    health: dict[str, dict[Kind, Health]] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)  # by fingerprint
    waiting: dict[str, Waiting] = field(default_factory=dict)  # by anomaly id
    ended: dict[str, int] = field(default_factory=dict)  # by anomaly id, in the order they ended: what is no later is a repeat
    incidents: dict[str, OpenIncident] = field(default_factory=dict)
    evicted: dict[str, int] = field(default_factory=dict)  # by table

    def hear(self, at: int) -> None:
        """Move the event clock to a reading's time. An outage of all readings makes nobody older than its gap."""
        if at > self.event_clock:
            self.listened += min(at - self.event_clock, GAP_MS)
            self.event_clock = at

    def count(self, name: str, entries: int = 1) -> None:
        """Count what was given up for want of room, or of age."""
        self.evicted[name] = self.evicted.get(name, 0) + entries

    def bound(self, name: str, table: dict[str, Entry], cap: int, age: Callable[[Entry], int]) -> None:
        """Evict the oldest entries of a table above its cap and count them."""
        over = len(table) - cap
        if over > 0:
            for key in sorted(table, key=lambda key: (age(table[key]), key))[:over]:
                del table[key]
            self.count(name, over)

    def end(self, anomaly: str, at: int = FOR_GOOD) -> None:
        """Remember that an anomaly is over: for good, or as far as it was heard of until `at` (event time in ms)."""
        self.ended[anomaly] = max(at, self.ended.get(anomaly, 0))
        while len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]
            self.count("ended")


_ADAPTER = TypeAdapter(CorrelateState)


def restore(snapshot: bytes | None) -> CorrelateState:
    return CorrelateState() if snapshot is None else _ADAPTER.validate_json(snapshot)


def snapshot(state: CorrelateState) -> bytes:
    return _ADAPTER.dump_json(state)
