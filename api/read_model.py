"""The read model: the control logs folded with the stages' own folds, so a zombie's record has no effect here either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from prometheus_client import Counter, Gauge
from pydantic import TypeAdapter

from models.approvals import ApprovalBook, fold
from models.calibration import Calibration
from models.execution import log as actions_log
from models.execution.log import ActionLog
from models.incidents.book import IncidentBook
from schemas.actions import ACTION_EVENTS, Epoch, Finished, Grant, Refused, Started
from schemas.approvals import APPROVAL_EVENTS, Decision, Explanation, Proposal
from schemas.base import derive_id
from schemas.incidents import INCIDENT_EVENTS
from schemas.kinds import Mode
from schemas.outcomes import Outcome
from streams.harness.emit import parse, position
from streams.harness.stage import Record

OF_ONE = 100  # proposals of one incident, actions of one proposal
KEPT = 2_000  # proposals, actions, outcomes: weeks of an ordinary environment; older ones are in the store

_OUTCOMES: TypeAdapter[Outcome] = TypeAdapter(Outcome)

BRIER = Gauge("airra_api_confidence_brier_ratio", "mean squared difference of confidence and what turned out, 0 is best")
LOG_LOSS = Gauge("airra_api_confidence_log_loss_nats", "mean log loss of confidence, 0 is best")
PAIRS = Gauge("airra_api_confidence_pairs", "verified outcomes that the two are taken over")
EVICTED = Counter("airra_api_evictions_total", "entries of the read model dropped at its cap", ["table"])

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A table with a cap: the oldest entry goes, and is counted."""

    def __init__(self, name: str, cap: int = KEPT) -> None:
        self._name = name
        self._cap = cap
        self._rows: dict[str, Value] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Value]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Value | None:
        return self._rows.get(key)

    def put(self, key: str, value: Value) -> None:
        self._rows[key] = value
        if len(self._rows) > self._cap:
            del self._rows[next(iter(self._rows))]
            EVICTED.labels(self._name).inc()

    def setdefault(self, key: str, make: Callable[[], Value]) -> Value:
        found = self._rows.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found


class Evicting(Protocol):
    """A fold that counts what it drops at its caps."""

    evicted: int


@contextmanager
def _counted(table: str, book: Evicting) -> Iterator[None]:
    before = book.evicted
    yield
    EVICTED.labels(table).inc(book.evicted - before)


@dataclass(slots=True)
class Doing:
    """One action, as far as it has come. `word` is admit's: its grant, or its refusal to grant."""

    id: str
    word: Grant | Refused
    started: Started | None = None
    refused: Refused | None = None
    finished: Finished | None = None


def action_id(proposal: str, digest: str) -> str:
    """Return the id that admit will grant an approved digest under."""
    return derive_id("act", proposal, digest)


@dataclass
class ReadModel:
    """What the API serves; each `fold_*` belongs to one view, all in one event loop."""

    approvals: ApprovalBook = field(default_factory=ApprovalBook)
    incidents: IncidentBook = field(default_factory=IncidentBook)
    proposals: Kept[Proposal] = field(default_factory=lambda: Kept[Proposal]("proposals"))
    decisions: Kept[Decision] = field(default_factory=lambda: Kept[Decision]("decisions"))
    explanations: Kept[Explanation] = field(default_factory=lambda: Kept[Explanation]("explanations"))
    of_incident: Kept[list[str]] = field(default_factory=lambda: Kept[list[str]]("of_incident"))  # proposals, in log order
    promised: Kept[tuple[str, Mode]] = field(default_factory=lambda: Kept[tuple[str, Mode]]("promised", 2 * KEPT))  # by action id
    of_proposal: Kept[list[str]] = field(default_factory=lambda: Kept[list[str]]("of_proposal"))  # actions, in log order
    doings: Kept[Doing] = field(default_factory=lambda: Kept[Doing]("doings"))
    outcomes: Kept[Outcome] = field(default_factory=lambda: Kept[Outcome]("outcomes"))  # newest version, by action
    calibration: Calibration = field(default_factory=Calibration)
    log: ActionLog = field(default_factory=ActionLog)  # tells which words on the actions log count

    def fold_approvals(self, record: Record) -> None:
        event = parse(APPROVAL_EVENTS, record)
        with _counted("approvals", self.approvals):
            decided = fold(self.approvals, event, record.timestamp, position(record))
        for decision in decided:
            self.decisions.put(decision.proposal, decision)
        if isinstance(event, Proposal) and event.id not in self.proposals:
            # The book cuts a proposal short once it is decided; a person who looks back wants to see all of it.
            self.proposals.put(event.id, event)
            _add(self.of_incident.setdefault(event.incident, list), event.id, "proposals_of_one")
            if event.digests is not None:
                self.promised.put(action_id(event.id, event.digests.dry_run), (event.id, Mode.DRY_RUN))
                self.promised.put(action_id(event.id, event.digests.live), (event.id, Mode.LIVE))
        elif isinstance(event, Explanation) and event.proposal not in self.explanations:
            self.explanations.put(event.proposal, event)

    def doings_of(self, proposal: str) -> list[Doing]:
        """Return the actions granted for a proposal, its undo among them, in log order."""
        found = (self.doings.get(action) for action in self.of_proposal.get(proposal) or ())
        return [doing for doing in found if doing is not None]

    def fold_incidents(self, record: Record) -> None:
        with _counted("incidents", self.incidents):
            self.incidents.apply(parse(INCIDENT_EVENTS, record), position(record), record.timestamp)

    def fold_actions(self, record: Record) -> None:
        event = parse(ACTION_EVENTS, record)
        with _counted("actions", self.log):
            counts = actions_log.fold(self.log, event, record.offset)
        if not counts:
            return  # a repeat, or an older owner's word
        if isinstance(event, Epoch):
            return
        if isinstance(event, Grant):
            if event.id not in self.doings:
                self._begin(Doing(event.id, event))
        elif (doing := self.doings.get(event.action)) is None:
            if isinstance(event, Refused) and event.epoch is None:  # admit refuses instead of granting
                self._begin(Doing(event.action, event, refused=event))
        elif isinstance(event, Started):
            doing.started = doing.started or event
        elif isinstance(event, Refused):
            doing.refused = doing.refused or event
        else:
            doing.finished = doing.finished or event

    def _begin(self, doing: Doing) -> None:
        self.doings.put(doing.id, doing)
        _add(self.of_proposal.setdefault(doing.word.proposal, list), doing.id, "actions_of_one")

    def fold_outcomes(self, record: Record) -> None:
        event = parse(_OUTCOMES, record)
        known = self.outcomes.get(event.action)
        if known is None or event.version > known.version:
            self.outcomes.put(event.action, event)
        with _counted("calibration", self.calibration):
            self.calibration.take(event)
        PAIRS.set(self.calibration.pairs)
        if self.calibration.pairs:
            BRIER.set(self.calibration.brier.get())
            LOG_LOSS.set(self.calibration.log_loss.get())


def _add(names: list[str], name: str, table: str) -> None:
    names.append(name)
    EVICTED.labels(table).inc(max(0, len(names) - OF_ONE))
    del names[:-OF_ONE]
