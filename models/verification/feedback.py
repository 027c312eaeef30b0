"""What operators confirm: it says whether the hypothesis acted on was right, whatever the metrics did."""

from __future__ import annotations

from models.verification.state import MAX_FEEDBACK, Verification, cap
from schemas.base import Millis
from schemas.incidents import Feedback
from schemas.kinds import Mode
from schemas.outcomes import Outcome


def heard(state: Verification, event: Feedback, now: Millis) -> list[Outcome]:
    """Fold a word on an incident's cause or service in place; return the outcomes that it changes, each with its next version.

    A later word replaces what it speaks of, and nothing else: who confirms the service alone takes back no cause.
    """
    if event.id in state.feedback_ids or (event.confirmed_cause is None and event.confirmed_service is None):
        return []
    state.feedback_ids[event.id] = None
    word = _merged(state.feedback.pop(event.incident, None), event)
    state.feedback[event.incident] = word
    cap(state, "feedback_ids", state.feedback_ids, MAX_FEEDBACK)
    cap(state, "feedback", state.feedback, MAX_FEEDBACK)
    changed = []
    for outcome in [outcome for outcome in state.outcomes.values() if outcome.incident == event.incident]:
        newer = overridden(state, outcome, word)
        if newer != outcome:
            newer = newer.model_copy(update={"version": outcome.version + 1, "at": now})
            state.outcomes[outcome.action] = newer
            changed.append(newer)
    return changed


def overridden(state: Verification, outcome: Outcome, word: Feedback) -> Outcome:
    """Return the outcome as an operator's word leaves it."""
    right = word.confirmed_cause in {None, outcome.cause} and word.confirmed_service in {None, outcome.service}
    correct = int(right) if answers(state, outcome.action, outcome.mode) else None
    return outcome.model_copy(update={"correct": correct, "confirmed_by": word.subject})


def answers(state: Verification, action: str, mode: Mode) -> bool:
    """Say whether an action can be right or wrong: it was really done, and its hypothesis is known with its confidence."""
    return mode is Mode.LIVE and action not in state.unasked


def _merged(older: Feedback | None, newer: Feedback) -> Feedback:
    if older is None:
        return newer
    said = {
        "confirmed_cause": newer.confirmed_cause or older.confirmed_cause,
        "confirmed_service": newer.confirmed_service or older.confirmed_service,
    }
    return newer.model_copy(update=said)
