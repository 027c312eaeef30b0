"""When to propose: once the evidence has settled, and again when the choice changes or nothing came of it, until something is done.

A proposal stands until it expires, its action is refused or was only tried dry; then what the evidence says by then is proposed
anew. Where the evidence names a cure no longer, an abstention takes the proposal's place. A live action that was started ends it, but for
another fault: where a service falls ill long after, what is proposed is for it, or a human must look.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.reason.cases import Case, ReasonState, Standing, close, follow, is_news
from models.runbooks.propose import abstaining, propose
from schemas.actions import Finished, Refused, Started
from schemas.approvals import Candidate, Proposal, ProposalReason, Withdrawal, WithdrawalReason
from schemas.base import Position, derive_id
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident, IncidentEvent, IncidentPhase
from schemas.kinds import ActionName, Mode, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import Tick


@dataclass(frozen=True, slots=True)
class Decided:
    proposals: tuple[Proposal, ...] = ()
    notices: tuple[Notice, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()


NOTHING = Decided()
AFRESH_MS = 600_000  # after a case was closed: what falls ill sooner may be of the same fault, or of what was done about it


def decide(state: ReasonState, event: IncidentEvent, *, source: Position, now: int, catalogue: RunbookCatalogue) -> Decided:
    """Fold one record of the incidents log; `now` is its append time in ms."""
    state.clock = max(state.clock, now)
    match event:
        case Incident(phase=IncidentPhase.RESOLVED):
            return _resolved(state, event, source) if is_news(state, event) else NOTHING
        case Incident():
            return _consider(state, follow(state, event, source), catalogue) if is_news(state, event) else NOTHING
        case Started(mode=Mode.LIVE) | Finished(mode=Mode.LIVE):
            return _acted(state, event, source)
        case Finished() | Refused():
            _came_to_nothing(state, event)
        case Tick():
            return _lose_patience(state, catalogue)
        case _:
            pass
    return NOTHING


def _resolved(state: ReasonState, incident: Incident, source: Position) -> Decided:
    """Take back what nobody needs to decide any more; of a case that was dropped at the cap nobody knows what stands."""
    case = close(state, incident.incident)
    if case is not None and case.standing is None:
        return NOTHING
    return Decided(withdrawals=(_withdrawal(state, incident.incident, WithdrawalReason.RESOLVED, source),))


def _acted(state: ReasonState, event: Started | Finished, source: Position) -> Decided:
    """Propose nothing more once a live action was started, and take back what was proposed beside it."""
    case = state.cases.get(event.incident)
    if case is None or case.closed:
        return NOTHING
    beside = case.standing is not None and case.standing.proposal != event.proposal
    _close(case)
    case.standing = None
    return Decided(withdrawals=(_withdrawal(state, event.incident, WithdrawalReason.ACTING, source),)) if beside else NOTHING


def _came_to_nothing(state: ReasonState, event: Finished | Refused) -> None:
    """Let go of what was only tried dry, or refused: the next version may bring a proposal that is acted on."""
    case = state.cases.get(event.incident)
    if case is not None and case.standing is not None and case.standing.proposal == event.proposal:
        case.standing = None


def _lose_patience(state: ReasonState, catalogue: RunbookCatalogue) -> Decided:
    """Look again at what has waited long enough without a cure."""
    made = [_consider(state, case, catalogue) for case in state.cases.values() if _is_due(state, case, catalogue)]
    return Decided(
        tuple(proposal for decided in made for proposal in decided.proposals),
        tuple(notice for decided in made for notice in decided.notices),
    )


def _is_due(state: ReasonState, case: Case, catalogue: RunbookCatalogue) -> bool:
    """Tell whether an abstention is due. One that follows a proposal waits while all is back in its band: the incident may be ending."""
    if case.closed or case.abstained or case.uncured_since is None or case.said >= case.incident.version:
        return False
    suspects = case.incident.suspects
    ending = case.tried and bool(suspects) and not any(suspect.open for suspect in suspects)
    return not ending and state.clock - case.uncured_since >= catalogue.proposing.patience_s * 1000


def _consider(state: ReasonState, case: Case, catalogue: RunbookCatalogue) -> Decided:
    """Propose what settled evidence says now, where that is news; one proposal a version of the incident."""
    timing = catalogue.proposing
    if case.closed:
        _begin_afresh(state, case)
    if case.closed or state.clock - case.opened_wall < timing.settle_s * 1000:
        return NOTHING
    _expire(state, case)
    proposal = propose(case.incident, catalogue, source=case.source, at=state.clock)
    if proposal.chosen is not None and proposal.chosen.spec.service in case.done:
        proposal = abstaining(proposal, ProposalReason.UNSETTLED)
    if proposal.chosen is None:
        case.uncured_since = state.clock if case.uncured_since is None else case.uncured_since
        return _abstain(case, proposal) if _is_due(state, case, catalogue) else NOTHING
    case.uncured_since = None
    if case.standing is not None and _same(case.standing.chosen, proposal.chosen):
        return NOTHING
    if case.counted >= timing.max_proposals:
        _close(case)
        return _abstain(case, abstaining(proposal, ProposalReason.UNSETTLED))
    case.standing = Standing(proposal.id, proposal.chosen, proposal.expires_at)
    case.counted += 1
    case.tried, case.abstained, case.said = True, False, case.incident.version
    return Decided((proposal,))


def _close(case: Case) -> None:
    case.closed, case.closed_at = True, case.incident.at
    case.done = sorted({*case.done, *(suspect.evidence.service for suspect in case.incident.suspects)})


def _begin_afresh(state: ReasonState, case: Case) -> None:
    """Look again at an incident in which another service falls ill long after AIRRA has done what it could: it is another fault."""
    if case.closed_at is None:
        return
    late = [suspect for suspect in case.incident.suspects if suspect.open and suspect.opened_at >= case.closed_at + AFRESH_MS]
    if any(suspect.evidence.service not in case.done for suspect in late):
        case.closed, case.opened_wall, case.uncured_since = False, state.clock, state.clock
        case.counted, case.tried, case.abstained = 0, False, False


def _expire(state: ReasonState, case: Case) -> None:
    """Let go of a proposal past its expiry; it is not counted, for its time has bounded it."""
    if case.standing is not None and state.clock > case.standing.expires_at:
        case.standing = None
        case.counted -= 1


def _abstain(case: Case, proposal: Proposal) -> Decided:
    """Say that nothing is proposed (which takes the place of what was), and that a human must look."""
    case.standing, case.abstained, case.said = None, True, case.incident.version
    return Decided((proposal,), (_escalated(proposal),))


def _same(before: Candidate, now: Candidate) -> bool:
    """Tell whether a choice is the one that was proposed: what its digest covers, but a smaller scale-up is no news."""
    if (before.preconditions, before.undo) != (now.preconditions, now.undo):
        return False
    smaller = now.spec.action is ActionName.SCALE_UP and now.spec.params["workers"] <= before.spec.params.get("workers", 0)
    return before.spec == now.spec or (smaller and (before.spec.action, before.spec.service) == (now.spec.action, now.spec.service))


def _withdrawal(state: ReasonState, incident: str, reason: WithdrawalReason, source: Position) -> Withdrawal:
    return Withdrawal(id=derive_id("wdr", incident), incident=incident, reason=reason, at=state.clock, source=source)


def _escalated(proposal: Proposal) -> Notice:
    top = proposal.hypotheses[0] if proposal.hypotheses else None
    why = f"{top.service}: {top.cause.value}, confidence {top.confidence:.2f}; {'; '.join(top.reasons)}" if top else "no hypothesis"
    return Notice(
        id=derive_id("ntc", NoticeKind.ESCALATED, proposal.id),
        kind=NoticeKind.ESCALATED,
        incident=proposal.incident,
        severity=Severity.CRITICAL,
        title=proposal.title,
        text=f"{why}. No action proposed: {proposal.reason.value}",
        at=proposal.at,
    )
