"""What was said of a point, in words: which channel, against what expectation, from how much history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.past import AGAIN, BURST, DRIFTED, DRIFTS, MISSING, NEW_NORMAL, NOTHING, OPENED, RECOVERED
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
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


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
    lines.append(f"{'in alarm' if one['alarmed'] else 'no alarm'}: {EVENT_WORDS[int(one['event'])]}")
    return lines


def strongest(reading: Any) -> str:
    """Return the words of the channel that finds a point least probable."""
    return CHANNEL_WORDS[int(np.argmin(reading["said"][:BURST]))]


def _chance(probability: float) -> str:
    return f"1 point in {1 / max(probability, 1e-300):,.0f}"


def _span(ms: int) -> str:
    return f"{ms / _DAY_MS:.1f} days" if ms >= _DAY_MS else f"{ms / _HOUR_MS:.1f} hours"
