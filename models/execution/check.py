"""The last check, immediately before acting: a pure function of what the views, the target and the clock say now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.approvals import ApprovalBook, Case, armed
from models.execution.log import ActionLog
from models.execution.params import problem
from models.incidents.book import IncidentBook
from models.runbooks.digests import action_digest
from schemas.actions import FinishStatus, Grant, RefusalReason, Seen
from schemas.approvals import DecisionOutcome
from schemas.base import Millis
from schemas.config.policy import Acting
from schemas.incidents import Incident
from schemas.kinds import Mode

# What may pass by itself: execute waits for it within its patience, and refuses only then.
PASSING = frozenset(
    {
        RefusalReason.VIEW_UNREADABLE,
        RefusalReason.EVIDENCE_STALE,
        RefusalReason.CLOCK_SKEW,
        RefusalReason.TARGET_UNREADABLE,
        RefusalReason.LEASE_HELD,
    }
)


@dataclass(frozen=True, slots=True)
class TargetView:
    """The target as it describes itself now. `known` is false where there is none of that name."""

    known: bool
    facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that the check looks at. Views are read to their end; `now` is the host's clock in ms."""

    approvals: ApprovalBook
    incidents: IncidentBook
    actions: ActionLog
    target: TargetView | None  # None: there is no executor to ask; only a dry run may go on
    cluster: str
    dry_run_mode: bool
    now: Millis
    approvals_end: int | None = None
    incidents_end: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Why not (None: act), in a sentence for people, and what was seen."""

    reason: RefusalReason | None
    detail: str
    seen: Seen


Finding = tuple[RefusalReason, str]


def check(grant: Grant, sight: Sight, bounds: Acting) -> Checked:
    """Return the first reason against acting, or none; what can never pass comes before what may."""
    seen = seen_by(grant, sight, bounds)
    for rule in RULES:
        found = rule(grant, sight, bounds)
        if found is not None:
            return Checked(found[0], found[1], seen)
    return Checked(None, "", seen)


def seen_by(grant: Grant, sight: Sight, bounds: Acting) -> Seen:
    """Return what a replay reads instead of looking again."""
    page = sight.incidents.get(grant.incident)
    case = sight.approvals.cases.get(grant.proposal)
    arming = armed(sight.approvals, sight.cluster, _later(sight, bounds)) if grant.mode is Mode.LIVE else None
    return Seen(
        incident_version=page.incident.version if page else None,
        evidence_at=page.evidence_at if page else None,
        approvals_end=sight.approvals_end,
        incidents_end=sight.incidents_end,
        decision=case.decision.id if case and case.decision else None,
        arming=arming.id if arming else None,
        target=sight.target.facts if sight.target else {},
    )


def _known_action(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    del sight, bounds
    wrong = problem(grant.spec)
    return (RefusalReason.UNKNOWN_ACTION, wrong) if wrong else None


def _live_enabled(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    del bounds
    if grant.mode is Mode.LIVE and sight.dry_run_mode:
        return RefusalReason.LIVE_DISABLED, "AIRRA_DRY_RUN_MODE is on"
    return None


def _executor_there(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    del bounds
    if grant.mode is Mode.LIVE and sight.target is None:
        return RefusalReason.NO_EXECUTOR, "no executor is configured: AIRRA_EXECUTOR"
    return None


def _lease_holds(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    if _later(sight, bounds) > grant.lease_until:
        return RefusalReason.LEASE_EXPIRED, f"the grant was for until {grant.lease_until}"
    return None


def _approved(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    """Evaluate the decision again, from the log itself: same proposal, digest and mode, and not over."""
    case = sight.approvals.cases.get(grant.proposal)
    decision = case.decision if case else None
    if case is None or decision is None or decision.outcome is not DecisionOutcome.APPROVED:
        return RefusalReason.NOT_APPROVED, "the approvals log holds no approval of this proposal"
    if (decision.id, decision.digest, decision.mode) != (grant.decision, grant.digest, grant.mode):
        return RefusalReason.NOT_APPROVED, "the approval names another digest or mode"
    bound = _undo_bound(grant, case, sight) if grant.undo_of else _bound(grant, case)
    if not bound:
        return RefusalReason.NOT_APPROVED, "what was granted is not what was approved"
    if grant.undo_of is None and _later(sight, bounds) > case.proposal.expires_at:
        return RefusalReason.EXPIRED, f"the proposal was good until {case.proposal.expires_at}"
    return None


def _bound(grant: Grant, case: Case) -> bool:
    chosen = case.proposal.chosen
    digest = action_digest(grant.spec, grant.preconditions, grant.undo, grant.mode, incident=grant.incident)
    return (
        chosen is not None
        and (chosen.spec, chosen.preconditions, chosen.undo) == (grant.spec, grant.preconditions, grant.undo)
        and case.proposal.incident == grant.incident
        and digest == grant.digest
    )


def _undo_bound(grant: Grant, case: Case, sight: Sight) -> bool:
    """Say whether this is the undo that was approved, asked for, of a live action that succeeded, and for the target as that left it."""
    chosen, undone = case.proposal.chosen, sight.actions.closed.get(grant.undo_of or "")
    request = sight.approvals.undos.get(grant.undo_of or "")
    return (
        chosen is not None
        and chosen.undo == grant.spec
        and request is not None
        and request.proposal == grant.proposal
        and undone is not None
        and (undone.mode, undone.status) == (Mode.LIVE, FinishStatus.SUCCEEDED)
        and undone.left == grant.preconditions
    )


def _armed(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    if grant.mode is Mode.LIVE and armed(sight.approvals, sight.cluster, _later(sight, bounds)) is None:
        return RefusalReason.NOT_ARMED, "no arming is in force on this cluster: airra act arm"
    return None


def _incident_open(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    del bounds
    page = sight.incidents.get(grant.incident)
    if grant.undo_of is None and page is not None and not page.is_open:
        return RefusalReason.INCIDENT_CLOSED, "it resolved by itself"
    return None


def _target_as_approved(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    del bounds
    if sight.target is None:
        return None
    if not sight.target.known:
        return RefusalReason.TARGET_CHANGED, f"the target knows no service {grant.spec.service}"
    facts, flags = sight.target.facts, sight.target.facts.get("flags")
    wanted, has = grant.preconditions, flags if isinstance(flags, dict) else {}
    expected = [(name, facts.get(name), value) for name, value in (("workers", wanted.workers), ("release", wanted.release))]
    expected += [(f"flag {name}", has.get(name), enabled) for name, enabled in wanted.flags.items()]
    for name, now, was in expected:
        if was is not None and (type(now) is not type(was) or now != was):  # 1 is not True
            return RefusalReason.TARGET_CHANGED, f"{name} was {was!r} and is {now!r}"
    return None


def _alone(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    """Hold a live action back while another one is begun on its target: admit may have given up a lease whose start it had not heard of."""
    del bounds
    others = (started for action, started in sight.actions.started.items() if action != grant.id and started.mode is Mode.LIVE)
    held = next((started.action for started in others if started.spec.service == grant.spec.service), None)
    if grant.mode is Mode.LIVE and held is not None:
        return RefusalReason.LEASE_HELD, f"{grant.spec.service} is held by {held}"
    return None


def _clock_right(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    """Compare with the newest append time, some second old at most: approve ticks that log."""
    del grant
    apart = sight.now - sight.approvals.newest
    if abs(apart) > bounds.skew_s * 1000:
        return RefusalReason.CLOCK_SKEW, f"this host's clock is {apart} ms from the newest record of the approvals log"
    return None


def _evidence_fresh(grant: Grant, sight: Sight, bounds: Acting) -> Finding | None:
    if grant.undo_of is not None:
        return None
    page = sight.incidents.get(grant.incident)
    if page is None or _later(sight, bounds) - page.evidence_at > bounds.evidence_s * 1000:
        return RefusalReason.EVIDENCE_STALE, f"no signal of the incident within {bounds.evidence_s:g} s"
    if (behind := _later(sight, bounds) - _read_at(page.incident)) > bounds.lag_s * 1000:
        return RefusalReason.EVIDENCE_STALE, f"the newest reading is of {behind // 1000} s ago: telemetry lags"
    return None


def _read_at(incident: Incident) -> Millis:
    """Return the event time of the newest reading, of what is wrong or of anything: what fell silent is no lag."""
    return max([incident.at, *(suspect.evidence.points[-1][0] for suspect in incident.suspects if suspect.evidence.points)])


def _later(sight: Sight, bounds: Acting) -> Millis:
    """Return the later of the two clocks: what ends, ends by whichever says so first.

    A host's clock counts no further ahead than clocks may be apart: beyond that it is the clock that is wrong, and `_clock_right` says so.
    """
    logged = sight.approvals.newest
    return max(logged, min(sight.now, logged + int(bounds.skew_s * 1000)))


Rule = Callable[[Grant, Sight, Acting], Finding | None]
RULES: tuple[Rule, ...] = (
    _known_action,
    _live_enabled,
    _executor_there,
    _lease_holds,
    _approved,
    _armed,
    _incident_open,
    _target_as_approved,
    _alone,
    _clock_right,
    _evidence_fresh,
)
