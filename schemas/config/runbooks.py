"""config/runbooks.yaml: which action cures which cause, what it risks, and from which confidence AIRRA proposes."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from schemas.base import Strict
from schemas.kinds import ActionName, Cause, Criticality

# Heritage numbers: the risk of an action on a service of medium criticality.
RISK = {
    ActionName.SCALE_UP: 0.05,
    ActionName.CLEAR_CACHE: 0.10,
    ActionName.TOGGLE_FEATURE_FLAG: 0.20,
    ActionName.SCALE_DOWN: 0.25,
    ActionName.RESTART: 0.35,
    ActionName.ROLLBACK: 0.50,
    ActionName.DRAIN: 0.60,
}
CRITICALITY = {Criticality.LOW: 0.8, Criticality.MEDIUM: 1.0, Criticality.HIGH: 1.2, Criticality.CRITICAL: 1.5}


class Cure(Strict):
    """One action that cures the runbook's cause; `undo` is the action that takes it back, where there is one."""

    action: ActionName
    expected_effect: str = Field(min_length=1)
    undo: ActionName | None = None

    @field_validator("action", "undo")
    @classmethod
    def _does_something(cls, action: ActionName | None) -> ActionName | None:
        if action is ActionName.NONE:
            raise ValueError("none cures nothing: leave the runbook out, and AIRRA abstains and escalates")
        return action


class Runbook(Strict):
    name: str = Field(min_length=1)
    cause: Cause
    description: str = ""
    cures: tuple[Cure, ...] = Field(min_length=1)


class Proposing(Strict):
    """When a proposal is made; seconds of trusted wall time."""

    settle_s: float = Field(8.0, ge=0)  # since the incident opened; before it the guilty callee's readings may not be in yet
    patience_s: float = Field(20.0, ge=0)  # without a cure, since it opened or since there last was one: then AIRRA abstains, aloud
    expires_s: float = Field(900.0, gt=0)
    # Of one incident, those that nobody decided in time not counted: where the picture keeps changing, or proposals keep coming to
    # nothing (dry runs, refusals), AIRRA then abstains and the incident goes to a human.
    max_proposals: int = Field(6, ge=1)


class RunbookCatalogue(Strict):
    min_confidence: float = Field(0.5, ge=0, le=1)
    proposing: Proposing = Proposing()
    scale_cap: int = Field(4, ge=2)  # never more than this many times the workers
    risk: dict[ActionName, float] = Field(default_factory=dict)  # overrides of RISK
    criticality: dict[Criticality, float] = Field(default_factory=dict)  # overrides of CRITICALITY
    runbooks: tuple[Runbook, ...] = ()

    @model_validator(mode="after")
    def _one_runbook_a_cause(self) -> RunbookCatalogue:
        for field in ("name", "cause"):
            values = [str(getattr(runbook, field)) for runbook in self.runbooks]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"two runbooks of the same {field}: {', '.join(twice)}")
        return self
