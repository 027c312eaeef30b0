"""A refusal: an HTTP status and a Problem that says what the caller can do."""

from __future__ import annotations

from typing import Any

from schemas.approvals import Decision, DecisionOutcome, WithdrawalReason
from schemas.http import Problem


class Refusal(Exception):
    """Carried to the one handler that renders it, as JSON for calls and as a page for people."""

    def __init__(self, status: int, error: str, detail: str, what_to_do: str, **more: Any) -> None:
        super().__init__(f"{error}: {detail}")
        self.status = status
        self.problem = Problem(error=error, detail=detail, what_to_do=what_to_do, **more)


def not_found(what: str, identifier: str) -> Refusal:
    return Refusal(
        404, "not_found", f"no {what} {identifier!r} is known here", "list incidents under /api/v1/incidents; old ones are in the store"
    )


def already_decided(decision: Decision, newer: str | None = None) -> Refusal:
    """Tell the loser who decided, what and when."""
    told = {"decided_by": decision.subject, "decided_at": decision.at, "outcome": decision.outcome, "newer": newer}
    match decision.outcome:
        case DecisionOutcome.EXPIRED:
            return Refusal(
                410, "expired", "the proposal expired before it was decided", "a newer one follows while the incident lasts", **told
            )
        case DecisionOutcome.SUPERSEDED:
            return Refusal(409, "superseded", "a newer proposal took its place", "look at the newer proposal and decide on that", **told)
        case DecisionOutcome.WITHDRAWN:
            why = "is resolved" if decision.reason == WithdrawalReason.RESOLVED else "is being acted on by another proposal"
            return Refusal(410, "withdrawn", f"the proposal was withdrawn: its incident {why}", "nothing: look at the incident", **told)
        case DecisionOutcome.FORBIDDEN:
            return Refusal(
                409, "forbidden_by_policy", decision.reason or "policy forbids this action", "act by hand, or change the policy", **told
            )
        case _:
            said = f"{decision.subject} already {decision.outcome.value} it" + (
                f" ({decision.mode.value})" if decision.outcome is DecisionOutcome.APPROVED else ""
            )
            return Refusal(409, "already_decided", said, "nothing: the first decision stands", **told)
