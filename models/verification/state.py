"""What verify remembers: the newest picture of each incident, the actions under observation, the outcomes given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter

from models.evicted import ByTable, count
from schemas.actions import Finished, Started
from schemas.base import Millis, Position
from schemas.incidents import Feedback, Incident, IncidentPhase
from schemas.kinds import Kind, Severity
from schemas.outcomes import Outcome
from schemas.signals import SeriesEvidence

MAX_INCIDENTS = 200  # a picture with its points is some 20 kB
MAX_WATCHES = 500
MAX_OUTCOMES = 1_000
MAX_FEEDBACK = 1_000

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Picture:
    """What verification needs of one incident record."""

    incident: str
    version: int
    title: str
    severity: Severity
    resolved: bool
    openers: tuple[SeriesEvidence, ...]
    readings: tuple[SeriesEvidence, ...]  # every one of the record, the openers' among them
    source: Position

    @staticmethod
    def of(incident: Incident, source: Position, alike: frozenset[tuple[str, str]] | None) -> Picture:
        """Return the picture; of readings only those of `alike` (service, metric), which bounds it. None: the openers' own."""
        every_opener = tuple(suspect.evidence for suspect in incident.suspects if suspect.opener)
        openers = tuple(one for one in every_opener if one.kind is not Kind.COMBINED) or every_opener  # it is well once the others are
        wanted = alike or frozenset((opener.service, opener.metric) for opener in every_opener)
        every = (*(suspect.evidence for suspect in incident.suspects), *incident.health)
        return Picture(
            incident=incident.incident,
            version=incident.version,
            title=incident.title,
            severity=incident.severity,
            resolved=incident.phase is IncidentPhase.RESOLVED,
            openers=openers,
            readings=tuple(reading for reading in every if (reading.service, reading.metric) in wanted),
            source=source,
        )


@dataclass(slots=True)
class Watch:
    """One action under observation."""

    started: Started
    before: Picture | None  # the newest record before it; None: none was seen
    finished: Finished | None = None
    finished_source: Position | None = None
    deadline: Millis | None = None
    after: Picture | None = None  # the newest record since it finished; or an earlier one since it started that ended the incident
    there: tuple[str, ...] = ()  # series of the openers' metrics that were there before it: none stands in for another


@dataclass(slots=True)
class Verification:
    pictures: dict[str, Picture] = field(default_factory=dict)  # by incident
    watches: dict[str, Watch] = field(default_factory=dict)  # by action
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by action: the newest version
    over: dict[str, None] = field(default_factory=dict)  # actions that ended without an outcome: refused ones, undos
    unasked: dict[str, None] = field(default_factory=dict)  # of those: actions whose hypothesis is not known, so never right or wrong
    feedback: dict[str, Feedback] = field(default_factory=dict)  # by incident: the newest word on its cause, and on its service
    feedback_ids: dict[str, None] = field(default_factory=dict)
    offset: int = -1
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)


def cap(state: Verification, name: str, table: dict[str, Value], limit: int) -> None:
    """Drop the oldest entries over the limit, counted."""
    while len(table) > limit:
        del table[next(iter(table))]
        count(state, name)


_STATE: TypeAdapter[Verification] = TypeAdapter(Verification)


def snapshot(state: Verification) -> bytes:
    return _STATE.dump_json(state)


def restore(data: bytes | None) -> Verification:
    return _STATE.validate_json(data) if data else Verification()
