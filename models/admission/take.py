"""Turn announced approvals and undo requests into grants, one live action a target, within the budget."""

from __future__ import annotations

from models.admission.state import HOUR_MS, MAX_KNOWN, MAX_LEASES, MAX_WAITING, Admission, Known, Wanted
from models.approvals import Case, fold
from models.evicted import count
from models.execution.params import left_by
from schemas.actions import Finished, FinishStatus, Grant, Preconditions, RefusalReason, Refused, Seen, Started
from schemas.approvals import ApprovalEvent, Decision, DecisionOutcome, UndoRequest
from schemas.base import Millis, Position, derive_id
from schemas.kinds import Mode

REFUSED = "refused"
LAPSED = "lapsed"  # nobody began it while it could be begun: execute never saw it
REPORT_MS = 20_000  # that the copy of a start may take to this log; one that takes longer is caught by execute's last check
UNDER_WAY = ("", FinishStatus.UNKNOWN)  # these keep their lease

Word = Grant | Refused


def take(state: Admission, event: ApprovalEvent, now: Millis, position: Position) -> list[Word]:
    """Fold one record of the approvals log in place; return what is granted and what is refused, in order.

    `now` is the record's append time in ms. A record at or below the last offset changes nothing.
    """
    if position.offset <= state.book.offset:
        return []
    fold(state.book, event, now, position)
    words: list[Word] = []
    match event:
        case Decision():
            words = _approved(state, event, now)
        case UndoRequest():
            words = _undo(state, event, now)
        case Started():
            _begun(state, event)
        case Finished() | Refused():
            _closed(state, event)
        case _:
            pass
    _lapse(state, now)
    return words + _serve(state, now)


def _approved(state: Admission, announced: Decision, now: Millis) -> list[Word]:
    """Want what the book itself holds approved, once it is announced; a contradicting announcement finds nothing here."""
    case = state.book.cases.get(announced.proposal)
    decision = case.decision if case else None
    if case is None or decision is None or not case.announced or decision.outcome is not DecisionOutcome.APPROVED:
        return []
    chosen = case.proposal.chosen
    if chosen is None or decision.digest is None:
        return []
    grant = _grant(case, decision, now).model_copy(
        update={"id": derive_id("act", case.proposal.id, decision.digest), "spec": chosen.spec, "undo": chosen.undo}
    )
    return _want(state, grant, now, case.proposal.expires_at)


def _undo(state: Admission, request: UndoRequest, now: Millis) -> list[Word]:
    """Want the undo that was approved with a live action which succeeded; anything else is refused."""
    done = state.known.get(request.action)
    if done is None:
        return []
    case = state.book.cases.get(done.proposal)
    undo = case.proposal.chosen.undo if case and case.proposal.chosen else None
    identifier = derive_id("act", request.action, "undo")
    if case is None or case.decision is None or undo is None or done.undone or not done.live or done.status != FinishStatus.SUCCEEDED:
        if identifier in state.known:
            return []
        state.known[identifier] = Known(done.proposal, done.incident, live=done.live, spec=done.spec, undone=True, status=REFUSED)
        return [
            Refused(
                id=derive_id("ref", identifier),
                action=identifier,
                proposal=done.proposal,
                incident=done.incident,
                mode=Mode.LIVE if done.live else Mode.DRY_RUN,
                spec=done.spec,
                reason=RefusalReason.NOT_APPROVED,
                detail="no undo was approved with it, or it did not succeed live",
                undo_of=request.action,
                seen=Seen(),
                at=now,
            )
        ]
    grant = _grant(case, case.decision, now).model_copy(
        update={"id": identifier, "spec": undo, "undo_of": request.action, "preconditions": done.left or Preconditions()}
    )
    return _want(state, grant, now, None)


def _grant(case: Case, decision: Decision, now: Millis) -> Grant:
    """Return what a grant of this case says, whatever it grants."""
    proposal, chosen = case.proposal, case.proposal.chosen
    if chosen is None or decision.digest is None:
        raise ValueError(f"{proposal.id} has nothing to grant")
    acted_on = next((hypothesis for hypothesis in proposal.hypotheses if hypothesis.rank == chosen.hypothesis), None)
    return Grant(
        id="",
        proposal=proposal.id,
        incident=proposal.incident,
        decision=decision.id,
        digest=decision.digest,
        mode=decision.mode,
        spec=chosen.spec,
        preconditions=chosen.preconditions,
        cause=acted_on.cause if acted_on else None,
        hypothesis_service=acted_on.service if acted_on else None,
        confidence=proposal.confidence,
        lease_until=now,
        at=now,
    )


def _want(state: Admission, grant: Grant, now: Millis, expires_at: Millis | None) -> list[Word]:
    if grant.id in state.known:
        return []
    undone = grant.undo_of is not None
    state.known[grant.id] = Known(grant.proposal, grant.incident, live=grant.mode is Mode.LIVE, spec=grant.spec, undone=undone)
    _forget(state)
    policy = state.book.policy
    if grant.mode is Mode.LIVE and not undone and _spent(state, now) >= policy.budget.live_per_hour:
        return [_refuse(state, grant, RefusalReason.BUDGET_EXHAUSTED, f"{policy.budget.live_per_hour} live actions an hour", now)]
    if len(state.waiting) >= MAX_WAITING:
        count(state, "waiting")
        return [_refuse(state, grant, RefusalReason.LEASE_HELD, f"{MAX_WAITING} actions wait already", now)]
    wanted = Wanted(grant, now + int(policy.lease.wait_s * 1000), expires_at)
    if undone:  # taking back comes before doing more
        state.waiting.insert(0, wanted)
    else:
        state.waiting.append(wanted)
    return []


def _serve(state: Admission, now: Millis) -> list[Word]:
    """Grant, in order, what waits for a target that is free now; refuse what has waited too long."""
    words: list[Word] = []
    still: list[Wanted] = []
    policy = state.book.policy
    for wanted in state.waiting:
        grant = wanted.grant
        live = grant.mode is Mode.LIVE
        holder = state.leases.get(grant.spec.service) if live else None
        if wanted.expires_at is not None and now > wanted.expires_at:
            words.append(_refuse(state, grant, RefusalReason.EXPIRED, "the proposal expired while it waited", now))
        elif live and (holder is not None or len(state.leases) >= MAX_LEASES):
            if now >= wanted.deadline:
                count(state, "leases", int(holder is None))
                words.append(_refuse(state, grant, RefusalReason.LEASE_HELD, f"{grant.spec.service} is held by {holder}", now))
            else:
                still.append(wanted)
        elif live and grant.undo_of is None and _spent(state, now) >= policy.budget.live_per_hour:
            words.append(_refuse(state, grant, RefusalReason.BUDGET_EXHAUSTED, f"{policy.budget.live_per_hour} live actions an hour", now))
        else:
            until = now + int(policy.lease.hold_s * 1000)
            words.append(grant.model_copy(update={"at": now, "lease_until": until}))
            state.known[grant.id].until = until
            if live:
                state.leases[grant.spec.service] = grant.id
                state.spent.append(now)
    state.waiting = still
    return words


def _begun(state: Admission, event: Started) -> None:
    """Note that it is under way; one that was given up takes its target back, if nobody has it."""
    known = state.known.get(event.action)
    if known is None or known.until is None or known.status not in {"", LAPSED}:
        return
    known.begun, known.status = True, ""
    if known.live:
        state.leases.setdefault(known.spec.service, event.action)


def _lapse(state: Admission, now: Millis) -> None:
    """Give up grants that nobody began in time (an executor whose offset was lost never sees them), and free their targets.

    Nothing begins after `until`: execute's last check refuses then, by the later of its host's clock and this log's newest append
    time, and what it has checked it does within `skew_s` or checks again. The clocks may be another `skew_s` apart.
    """
    margin = int(2 * state.book.policy.acting.skew_s * 1000) + REPORT_MS
    for action, known in state.known.items():
        if known.until is None or known.begun or known.status or now <= known.until + margin:
            continue
        known.status = LAPSED
        _free(state, action, known)


def _closed(state: Admission, event: Finished | Refused) -> None:
    """Free the target; an unknown end keeps it, until a human has looked."""
    known = state.known.get(event.action)
    if known is None or known.status not in {"", LAPSED}:
        return
    known.status = REFUSED if isinstance(event, Refused) else event.status
    if isinstance(event, Finished) and event.status is FinishStatus.SUCCEEDED:
        known.left = left_by(event.spec, event.after)
    if known.status != FinishStatus.UNKNOWN:
        _free(state, event.action, known)


def _free(state: Admission, action: str, known: Known) -> None:
    if state.leases.get(known.spec.service) == action:
        del state.leases[known.spec.service]


def _refuse(state: Admission, grant: Grant, reason: RefusalReason, detail: str, now: Millis) -> Refused:
    state.known[grant.id].status = REFUSED
    return Refused(
        id=derive_id("ref", grant.id),
        action=grant.id,
        proposal=grant.proposal,
        incident=grant.incident,
        mode=grant.mode,
        spec=grant.spec,
        reason=reason,
        detail=detail,
        undo_of=grant.undo_of,
        seen=Seen(),
        at=now,
    )


def _spent(state: Admission, now: Millis) -> int:
    state.spent = [at for at in state.spent if now - at < HOUR_MS]
    return len(state.spent)


def _forget(state: Admission) -> None:
    """Drop the oldest actions that are over; what is under way keeps its place."""
    over = len(state.known) - MAX_KNOWN
    for name in [name for name, known in state.known.items() if known.status not in UNDER_WAY][: max(over, 0)]:
        del state.known[name]
        count(state, "known")
