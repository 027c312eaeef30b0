"""When to propose: once the evidence has settled, again when the choice changes, never after something was done."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from models.runbooks.propose import propose
from schemas.actions import Finished, Refused, Started
from schemas.approvals import Candidate, Proposal
from schemas.base import Position, derive_id
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident, IncidentEvent, IncidentPhase
from schemas.kinds import ActionName, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import Tick

CASES_KEPT = 500


@dataclass
class Case:
    """What reason knows of one incident; wall times in ms."""

    incident: Incident  # newest version
    source: Position
    opened_wall: int
    proposed: Candidate | None = None  # what the newest proposal chose
    proposals: int = 0
    abstained: bool = False
    acted: bool = False


@dataclass
class ReasonState:
    clock: int = 0
    cases: dict[str, Case] = field(default_factory=dict)
    resolved: dict[str, bool] = field(default_factory=dict)  # late repeats of these bring nothing back
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class Decided:
    proposals: tuple[Proposal, ...] = ()
    notices: tuple[Notice, ...] = ()


_ADAPTER = TypeAdapter(ReasonState)


def restore(snapshot: bytes | None) -> ReasonState:
    return ReasonState() if snapshot is None else _ADAPTER.validate_json(snapshot)


def snapshot(state: ReasonState) -> bytes:
    return _ADAPTER.dump_json(state)


def decide(state: ReasonState, event: IncidentEvent, *, source: Position, now: int, catalogue: RunbookCatalogue) -> Decided:
    """Fold one record of the incidents log; `now` is its append time in ms."""
    state.clock = max(state.clock, now)
    match event:
        case Incident():
            case = _follow(state, event, source)
            return Decided() if case is None else _propose(state, case, catalogue)
        case Started() | Finished():
            if event.incident in state.cases:
                state.cases[event.incident].acted = True
        case Refused():
            pass  # nothing was done: a changed picture may still be proposed, an unchanged one is not proposed twice
        case Tick():
            return _lose_patience(state, catalogue)
    return Decided()


def _follow(state: ReasonState, incident: Incident, source: Position) -> Case | None:
    """Keep the newest version; None for a repeat, or when the incident is over."""
    key = incident.incident
    case = state.cases.get(key)
    if key in state.resolved or (case is not None and incident.version <= case.incident.version):
        return None
    if incident.phase is IncidentPhase.RESOLVED:
        state.cases.pop(key, None)
        state.resolved[key] = True
        while len(state.resolved) > CASES_KEPT:
            del state.resolved[next(iter(state.resolved))]
        return None
    if case is None:
        case = state.cases[key] = Case(incident, source, state.clock)
        while len(state.cases) > CASES_KEPT:
            del state.cases[next(iter(state.cases))]
            state.evicted += 1
    case.incident, case.source = incident, source
    return case


def _propose(state: ReasonState, case: Case, catalogue: RunbookCatalogue) -> Decided:
    """Propose on a settled record, when there is a cure and it is not the one that was proposed before."""
    timing = catalogue.proposing
    if case.acted or state.clock - case.opened_wall < timing.settle_s * 1000 or case.proposals >= timing.max_proposals:
        return Decided()
    proposal = propose(case.incident, catalogue, source=case.source, at=state.clock)
    if proposal.chosen is None or _same(case.proposed, proposal.chosen):
        return Decided()
    case.proposed = proposal.chosen
    case.proposals += 1
    return Decided((proposal,), (_notice(case, proposal, NoticeKind.APPROVAL_NEEDED),))


def _same(before: Candidate | None, now: Candidate) -> bool:
    """Tell whether a choice is the one that was proposed: what its digest covers, but a smaller scale-up is no news."""
    if before is None or (before.preconditions, before.undo) != (now.preconditions, now.undo):
        return False
    smaller = now.spec.action is ActionName.SCALE_UP and now.spec.params["workers"] <= before.spec.params.get("workers", 0)
    return before.spec == now.spec or (smaller and (before.spec.action, before.spec.service) == (now.spec.action, now.spec.service))


def _lose_patience(state: ReasonState, catalogue: RunbookCatalogue) -> Decided:
    """Abstain, once, on incidents that have waited long enough without a cure."""
    proposals: list[Proposal] = []
    notices: list[Notice] = []
    for case in state.cases.values():
        waited = state.clock - case.opened_wall
        if case.acted or case.proposals or case.abstained or waited < catalogue.proposing.patience_s * 1000:
            continue
        proposal = propose(case.incident, catalogue, source=case.source, at=state.clock)
        if proposal.chosen is None:
            case.abstained = True
            kind = NoticeKind.ESCALATED
        else:  # no record came since the evidence settled, and the newest one names a cure
            case.proposed = proposal.chosen
            case.proposals += 1
            kind = NoticeKind.APPROVAL_NEEDED
        proposals.append(proposal)
        notices.append(_notice(case, proposal, kind))
    return Decided(tuple(proposals), tuple(notices))


def _notice(case: Case, proposal: Proposal, kind: NoticeKind) -> Notice:
    top = proposal.hypotheses[0] if proposal.hypotheses else None
    sure = f", confidence {top.confidence:.2f}" if top else ""
    why = f"{top.service}: {top.cause.value}{sure}; {'; '.join(top.reasons)}" if top else "no hypothesis"
    text = f"{why}. No action proposed: {proposal.reason.value}" if kind is NoticeKind.ESCALATED else why
    return Notice(
        id=derive_id("ntc", kind, proposal.id),
        kind=kind,
        incident=proposal.incident,
        severity=Severity.CRITICAL if kind is NoticeKind.ESCALATED else case.incident.severity,
        title=proposal.title,
        text=text,
        at=proposal.at,
    )
