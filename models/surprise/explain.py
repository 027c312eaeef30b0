"""What was said of a point, in words: which channel, against what expectation, from how much history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.past import AGAIN, BURST, BURSTING, DRIFTED, DRIFTS, LASTS, MISSING, NEW_NORMAL, NOTHING, OPENED, RECOVERED, STUCK
from models.surprise.season_kernel import DAY_MS, HOUR_MS
from schemas.config.score import ScoreRule

CHANNEL_WORDS = (
    "the change from the point before, beyond what was expected of it",
    "the distance from what was expected",
    "the level of late",
    "the level of late above this time of other days",
    "how much it moves from point to point",
    "so many improbable points so close together",
)
SEASON_WORDS = (
    "its level of late",
    "its level of late and this part of other hours",
    "this time of other days",
    "this time of other weeks",
)
EVENT_WORDS = {
    NOTHING: "nothing changed",
    OPENED: "an alarm opened",
    AGAIN: "within an alarm, something new",
    RECOVERED: "the alarm ended: it is as before",
    NEW_NORMAL: "the alarm ended: it lasted so long that this is the new normal",
    DRIFTS: "it has been drifting for hours: a slow leak, or a trend",
    DRIFTED: "the drift ended: it stays, or is the new normal",
    MISSING: "it was missing before this point",
}
CAUSE_WORDS = {
    BURSTING: CHANNEL_WORDS[BURST],
    STUCK: "the same value for far longer than is usual",
    LASTS: "it stays away from what was usual",
}


def explain(at: NDArray[np.int64], value: NDArray[np.float64], readings: Any, index: int, config: ScoreRule) -> list[str]:
    """Return lines about the point at `index`. Args: at (n,) in ms, value (n,) and readings (n,) as `judge` takes and returns them."""
    one = readings[index]
    low, high = one["expected"] - one["width"], one["expected"] + one["width"]
    lines = [
        f"value {value[index]:.6g}; expected {one['expected']:.6g}, {low:.6g} to {high:.6g}, from {SEASON_WORDS[one['season']]}",
        f"history: {index} points over {_span(int(at[index] - at[0]))}",
    ]
    if index < config.warm_up:
        return [*lines, f"nothing is said before {config.warm_up} points"]
    lines.append(f"score {one['score']:.3f}, and 0.5 is remarkable: as improbable as {_chance(10 ** -one['surprise'])} of its own past")
    if one["news"] < one["surprise"]:
        lines.append("part of that is no news: it was as improbable shortly before")
    said = one["said"][:BURST]
    for channel in np.argsort(said)[: max(1, int(np.count_nonzero(said < 0.01)))].tolist():
        lines.append(f"  {_chance(float(said[channel]))}: {CHANNEL_WORDS[channel]}")
    why = f", because of {found}" if (found := because(one)) else ""
    lines.append(f"{'in alarm' if one['alarmed'] else 'no alarm'}: {EVENT_WORDS[int(one['event'])]}{why}")
    return lines


def because(reading: Any) -> str:
    """Return why an alarm opened, or something new came in one; nothing of what is no alarm, or says itself what it is about."""
    event, cause = int(reading["event"]), int(reading["cause"])
    if event not in (OPENED, AGAIN):
        return ""
    if event == OPENED and cause in CAUSE_WORDS:
        return CAUSE_WORDS[cause]
    return CHANNEL_WORDS[int(np.argmin(reading["said"][:BURST]))]


def _chance(probability: float) -> str:
    return f"1 point in {1 / max(probability, 1e-300):,.0f}"


def _span(ms: int) -> str:
    return f"{ms / DAY_MS:.1f} days" if ms >= DAY_MS else f"{ms / HOUR_MS:.1f} hours"
