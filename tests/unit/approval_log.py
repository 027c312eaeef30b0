"""The approvals log for its tests: folded event by event, the policies it begins with, and what else is said on it."""

from models.approvals import ApprovalBook, decision_of, fold
from schemas.approvals import Decision, DecisionOutcome, Explanation, Proposal, Withdrawal, WithdrawalReason
from schemas.base import Position
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import Mode
from tests.acting_world import T0
from tests.acting_world import in_force as on_the_log

DRY = Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.DRY_RUN),))
FORBIDDING = Policy(rules=(Rule(decide=Ruling.FORBIDDEN),))
AUTOMATIC = Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.LIVE),))


class Log:
    """Folds one event after another; a policy is its first."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.book = ApprovalBook()
        self.offset = 0
        if policy is not None:
            self.take(on_the_log(policy))

    def take(self, event: object, now: int = T0) -> list[Decision]:
        self.offset += 1
        return fold(self.book, event, now, Position(topic="airra.approvals.v1", partition=0, offset=self.offset))

    def outcome(self, of: Proposal) -> DecisionOutcome | None:
        decision = decision_of(self.book, of.id)
        return decision.outcome if decision else None


def explanation(of: Proposal, *, agrees: bool | None = True, status: str = "ok") -> Explanation:
    return Explanation(id=f"exp-{of.id}", proposal=of.id, provider="p", model="m", status=status, agrees=agrees, at=T0)


def withdrawal(incident: str = "inc-1", reason: WithdrawalReason = WithdrawalReason.RESOLVED) -> Withdrawal:
    return Withdrawal(id=f"wdr-{incident}", incident=incident, reason=reason, at=T0, source=Position(topic="i", partition=0, offset=9))
