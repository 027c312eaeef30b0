"""config/policy.yaml: who decides about which action, how much may be done, and when an action counts as a success."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Strict
from schemas.kinds import ActionName, Criticality, Mode


class Ruling(StrEnum):
    AUTOMATIC = "automatic"
    HUMAN = "human"
    FORBIDDEN = "forbidden"


class Rule(Strict):
    """The first rule that matches decides; an empty list matches everything; what no rule matches is forbidden."""

    decide: Ruling
    actions: tuple[ActionName, ...] = ()
    services: tuple[str, ...] = ()
    criticalities: tuple[Criticality, ...] = ()
    mode: Mode = Mode.DRY_RUN  # which of the two digests an automatic ruling approves
    quorum: Literal[1] = 1  # approvals needed; more than one comes with the security work


class Automatic(Strict):
    """What else must hold before policy approves by itself; where it does not, a human is asked."""

    threshold_high: float = Field(0.8, ge=0, le=1)  # confidence of the hypothesis acted on
    evidence_s: float = Field(30, gt=0)  # oldest proposal, from its making to its place in the log
    explanation_wait_s: float = Field(0, ge=0)  # an LLM is on: wait for its explanation this long; 0: it is off


class Lease(Strict):
    """One live action a target at a time."""

    hold_s: float = Field(120, gt=0)  # a grant may be started this long
    wait_s: float = Field(120, ge=0)  # a second action waits this long for the target


class Budget(Strict):
    live_per_hour: int = Field(20, ge=0)  # rolling, on append time; an undo counts, and is never refused for it


class Acting(Strict):
    """The last check's bounds."""

    evidence_s: float = Field(30, gt=0)  # oldest newest record of the incident
    lag_s: float = Field(120, gt=0)  # oldest newest reading, by its own time: the longest scrape interval, and the way here
    skew_s: float = Field(5, gt=0)  # host clock against the newest append time
    patience_s: float = Field(45, ge=0)  # what may pass by itself (a view, a tick, a reading) is waited for this long, then refused
    look_up_s: float = Field(120, gt=0)  # a begun action is looked up this long, then it is unknown and a human's
    barrier_s: float = Field(5, gt=0)  # for one read to the end of a log


class Verification(Strict):
    settle_s: float = Field(10, ge=0)  # readings this soon after the action say nothing
    deadline_s: float = Field(90, gt=0)  # after the action, longer for metrics that are read seldom: then what is seen is the verdict
    points: int = Field(5, ge=1)  # readings that a median is taken over
    success: float = Field(0.20, ge=0)  # share better than just before the action
    partial: float = Field(0.10, ge=0)
    worse: float = Field(0.10, ge=0)


class Policy(Strict):
    """The default is the shipped one: a human decides everything."""

    rules: tuple[Rule, ...] = (Rule(decide=Ruling.HUMAN),)
    automatic: Automatic = Automatic()
    lease: Lease = Lease()
    budget: Budget = Budget()
    acting: Acting = Acting()
    verification: Verification = Verification()
