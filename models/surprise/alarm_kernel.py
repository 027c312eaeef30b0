"""When a series is in alarm: an improbable point or burst opens it, and only what was usual before it, or time, ends it; compiled code."""

from __future__ import annotations

import math
from typing import Any

from models.compiled import compiled_bare
from models.surprise.past import AGAIN, ALARMED, NEW_NORMAL, NOTHING, OPENED, ORDINARY, RECOVERED, RESIDUAL, SEASONS
from models.surprise.season_kernel import foretell


@compiled_bare
def stricter(past: Any, rule: Any) -> float:
    """Return how much more surprising a point must be because there are so many of them a week."""
    return math.log10(max(rule.spaced / max(past.interval, 1.0), 1.0)) if past.seen > 1 else 0.0


@compiled_bare
def turn(past: Any, at: int, value: float, surprise: float, news: float, burst: float, floor: float, rule: Any) -> int:
    """Take a point into account; return what it brings about.

    What is usual is that of before the alarm: the score learns on, but a fault does not end its own alarm, and once it is over the
    levels are those of before it.
    """
    needed = rule.alarm + stricter(past, rule)
    if news >= needed or (burst >= needed and past.state == ORDINARY):
        again = past.state == ALARMED
        if not again:
            past.state, past.opened, past.width = ALARMED, at, max(past.scale[RESIDUAL], floor)
            for season in range(SEASONS):
                past.before[season] = past.level[season]
        past.calm = 0
        return AGAIN if again else OPENED
    if past.state == ORDINARY:
        return NOTHING
    back = abs(value - foretell(past, at, past.before, rule)) <= rule.band * past.width
    past.calm = past.calm + 1 if back and surprise < rule.calm else 0
    if past.calm >= rule.calm_points:
        past.state = ORDINARY
        for season in range(SEASONS):
            past.level[season] = past.before[season]
        return RECOVERED
    if at - past.opened >= rule.release:
        past.state = ORDINARY
        return NEW_NORMAL
    return NOTHING
