"""What reason remembers: each incident that goes on, and what it has proposed for it; bounded, and JSON when snapshotted."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from models.evicted import ByTable, count
from schemas.approvals import Candidate
from schemas.base import Position
from schemas.incidents import Incident

CASES_KEPT = 500


@dataclass
class Standing:
    """The newest proposal, as long as it may still lead to a live action, as far as the incidents log tells."""

    proposal: str
    chosen: Candidate
    expires_at: int


@dataclass
class Case:
    """What reason knows of one incident; wall times in ms."""

    incident: Incident  # newest version
    source: Position
    opened_wall: int
    uncured_since: int | None  # no cure in the evidence since then
    standing: Standing | None = None
    said: int = -1  # newest version that a proposal was made of: one a version
    counted: int = 0  # proposals that count towards the most there may be
    tried: bool = False  # something was proposed
    abstained: bool = False  # the newest proposal abstains
    closed: bool = False  # a live action was started, or AIRRA has given up: nothing more is proposed
    closed_at: int | None = None  # event time of the evidence then; None: a release before closed it, and it stays closed,
    done: list[str] = field(default_factory=list)  # and the services that were out of the ordinary: none of them is acted on again


@dataclass
class ReasonState:
    clock: int = 0
    cases: dict[str, Case] = field(default_factory=dict)
    resolved: dict[str, bool] = field(default_factory=dict)  # late repeats of these bring nothing back
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)


_ADAPTER = TypeAdapter(ReasonState)


def restore(snapshot: bytes | None) -> ReasonState:
    return ReasonState() if snapshot is None else _ADAPTER.validate_json(snapshot)


def snapshot(state: ReasonState) -> bytes:
    return _ADAPTER.dump_json(state)


def follow(state: ReasonState, incident: Incident, source: Position) -> Case:
    """Keep the newest version of an incident that goes on."""
    case = state.cases.get(incident.incident)
    if case is None:
        case = state.cases[incident.incident] = Case(incident, source, state.clock, state.clock)
        while len(state.cases) > CASES_KEPT:
            del state.cases[next(iter(state.cases))]
            count(state, "cases")
    case.incident, case.source = incident, source
    return case


def close(state: ReasonState, incident: str) -> Case | None:
    """Forget an incident that is over, but for its id; return what was known of it."""
    state.resolved[incident] = True
    while len(state.resolved) > CASES_KEPT:
        del state.resolved[next(iter(state.resolved))]
        count(state, "resolved")
    return state.cases.pop(incident, None)


def is_news(state: ReasonState, incident: Incident) -> bool:
    """Tell a newer version from a repeat, an older one, or one of an incident that is over."""
    case = state.cases.get(incident.incident)
    return incident.incident not in state.resolved and (case is None or incident.version > case.incident.version)
