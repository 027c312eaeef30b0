"""When a run is over, told from its story and the clock alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cli.demo.story import Story
from schemas.approvals import DecisionOutcome, Proposal
from schemas.kinds import ActionName

WARM_UP_S = 60.0  # of the sandbox, before any fault
INJECTED_WITHIN_S = 180.0  # warm-up and start of a slow machine
END_AFTER_S = 170.0  # after the fault, or the decision about it: verification's deadline and the time to get there
SILENCE_S = 105.0  # how long a harmless fault is watched: the peak rises, holds and falls in 110 s, most of it is seen
CALM_S = 20.0  # after an abstention or a refusal: long enough to see that nothing is executed
EXPIRY_SEEN_S = 30.0  # a proposal's end is a record of its own, written at a tick after it
THINKING_S = 900.0  # as long as a proposal waits for a person (expires_s of the runbooks)
FOUND_WITHIN_S = 20.0  # of a fault: what detection promises
TOO_LATE_S = FOUND_WITHIN_S + 10.0  # by so much later it is worth knowing that it was found at all
WATCHED_S = 45.0  # of a fault that nobody repairs: four moments of health
UNDONE = (DecisionOutcome.REJECTED, DecisionOutcome.EXPIRED)  # nothing will be done about these


class Until(StrEnum):
    """How far a run goes."""

    VERDICT = "verdict"  # found, repaired and verified
    INCIDENT = "incident"  # found, or too late
    WATCHED = "watched"  # looked at for WATCHED_S; nobody approves anything


def waiting(fault: Mapping[str, Any]) -> float:
    """Return the seconds that a scenario lets pass before the fault, above the warm-up."""
    return max(0.0, float(fault.get("after_s", 0.0)) - WARM_UP_S)


def later(fault: Mapping[str, Any], calm_s: float) -> dict[str, Any]:
    """Return the fault with at least so many seconds of clean traffic before it."""
    return {**fault, "after_s": max(float(fault.get("after_s", 0.0)), calm_s)}


def injected_within(fault: Mapping[str, Any]) -> float:
    """Return the seconds from the start within which the fault must have been injected."""
    return INJECTED_WITHIN_S + waiting(fault)


def armed_for(fault: Mapping[str, Any] | None, seconds: float | None, thinking_s: float) -> float:
    """Return for how long acting is armed: to the fault, a person's thinking (what expired is proposed again), and the end."""
    if fault is None:
        return INJECTED_WITHIN_S + (seconds or SILENCE_S)
    return injected_within(fault) + 2 * END_AFTER_S + 2 * thinking_s


@dataclass(frozen=True)
class Asked:
    """What became of the question to a person."""

    answered_at: int | None = None  # the last answer at the terminal, or by --yes
    elsewhere: frozenset[str] = frozenset()  # proposals that the page decides

    def waits(self, proposal: Proposal | None, now: int) -> bool:
        """Tell whether somebody may still decide it on the page."""
        return proposal is not None and proposal.id in self.elsewhere and now < proposal.expires_at + EXPIRY_SEEN_S * 1000


def ended(story: Story, expected: Mapping[str, Any], asked: Asked, now: int, until: Until = Until.VERDICT) -> bool:
    """Tell whether a run whose fault was injected is over. Times are milliseconds of the wall clock, as in the story."""
    assert story.fault is not None  # noqa: S101 - asked after the injection
    if until is Until.WATCHED:
        return now - story.fault.at > WATCHED_S * 1000
    if not expected:
        return now - story.fault.at >= SILENCE_S * 1000
    if until is Until.INCIDENT:
        return story.found_at is not None or now - story.fault.at > TOO_LATE_S * 1000
    if expected.get("action") == ActionName.NONE and story.escalated_at is not None:
        return now - story.escalated_at > CALM_S * 1000
    if story.outcomes or story.refused:
        return True
    if asked.waits(story.pending(), now):
        return False
    last, decided = max(story.decisions.values(), key=lambda found: found[1], default=(None, 0))
    patience = CALM_S if last is not None and last.outcome in UNDONE else END_AFTER_S
    return now - max(story.fault.at, decided, asked.answered_at or 0) > patience * 1000
