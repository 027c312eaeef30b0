"""What policy says about an action."""

from __future__ import annotations

from pydantic import ValidationError

from schemas.approvals import PolicyInForce
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import ActionName, Criticality

UNMATCHED = Rule(decide=Ruling.FORBIDDEN)


def ruling(policy: Policy, action: ActionName, service: str, criticality: Criticality) -> Rule:
    """Return the first rule that matches; what no rule matches is forbidden."""
    for rule in policy.rules:
        if (
            (not rule.actions or action in rule.actions)
            and (not rule.services or service in rule.services)
            and (not rule.criticalities or criticality in rule.criticalities)
        ):
            return rule
    return UNMATCHED


def in_force(policy: Policy, *, threshold_high: float | None = None, llm_timeout_s: float | None = None) -> Policy:
    """Return the policy with what the settings say: the confidence threshold, and how long an LLM (None: off) is waited for.

    approve puts the result on the log; no other reader of the log needs it to rule.
    """
    changes: dict[str, float] = {"explanation_wait_s": llm_timeout_s or 0.0}
    if threshold_high is not None:
        changes["threshold_high"] = threshold_high
    return policy.model_copy(update={"automatic": policy.automatic.model_copy(update=changes)})


def read(event: PolicyInForce) -> Policy:
    """Return the policy that a record holds; one that this reader does not understand (a newer writer's) forbids everything."""
    try:
        return Policy.model_validate(event.content)
    except ValidationError:
        return Policy(rules=())
