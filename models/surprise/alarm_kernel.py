"""When a series is in alarm: an improbable point or burst opens it, and only what was usual before it, or time, ends it; compiled code."""

from __future__ import annotations

import math
from typing import Any

from models.compiled import compiled_bare
from models.surprise.past import (
    AGAIN,
    ALARMED,
    BURSTING,
    LASTS,
    NEW_NORMAL,
    NEWS,
    NOTHING,
    OPENED,
    ORDINARY,
    RECOVERED,
    RESIDUAL,
    SEASONS,
    STUCK,
    VARIATION,
)
from models.surprise.season_kernel import foretell
from models.surprise.tail_kernel import place_in, two_sided

MOST_REACH, REACH_STEP = 200.0, 1.25  # scales
DEPARTED_RATE = 0.1
VARIATION_FLOOR = 0.02  # of the logarithm of a step
STILL, NEARER = 24, 0.85  # points in a row within what was usual, so near to each other, are no chance where noise grew


@compiled_bare
def stricter(past: Any, rule: Any) -> float:
    """Return how much more surprising a point must be because there are so many of them a week."""
    return math.log10(max(rule.spaced / max(past.interval, 1.0), 1.0)) if past.seen > 1 else 0.0


@compiled_bare
def turn(
    past: Any, at: int, value: float, step: float, surprise: float, news: float, burst: float, stuck: bool, floor: float, rule: Any
) -> int:
    """Take a point into account, `step` from the one before; return what it brings about.

    What is usual is that of before the alarm: the score learns on, but a fault does not end its own alarm, and once it is over the
    levels are those of before it.
    """
    past.lasted *= rule.lasted_kept
    if past.state == ALARMED:
        return _within(past, at, value, step, surprise, news >= rule.threshold, stuck, rule)
    most = max(news, burst)
    if stuck or (most >= rule.alarm and most >= rule.alarm + stricter(past, rule)):
        if past.beyond == 0:
            _remember(past, at, floor, rule)
        cause = STUCK if stuck else NEWS if news >= burst else BURSTING
        return _open(past, _off(past, at, value), cause)
    if past.beyond > 0:
        past.beyond = past.beyond + 1 if abs(_off(past, at, value)) > past.width else 0
        if past.beyond > rule.lasting_points:
            usual = past.lasted >= rule.lasting_most
            past.lasted += 1.0
            past.beyond = 0
            return NOTHING if usual else _open(past, _off(past, at, value), LASTS)
    elif news >= rule.threshold:
        _remember(past, at, floor, rule)
        past.beyond = 1
    return NOTHING


@compiled_bare
def _within(past: Any, at: int, value: float, step: float, surprise: float, anew: bool, stuck: bool, rule: Any) -> int:
    """Take a point of an alarm.

    Something new is far from what was usual, and from what the alarm is about, further than that moves: a point that is news, or some in
    a row. Noise that grew is within what was usual most of the time: it is not over before points are as near to each other as they were.
    A level that followed a ramp is not what was usual: where the series was for days before is usual, too.
    """
    off = _off(past, at, value)
    back = abs(value - foretell(past, at, past.slow) - past.middle) <= past.band
    outside = abs(off) > past.width and not back
    astray = abs(off - past.departed) if outside and past.departed != 0.0 else 0.0
    other = astray > max(past.band, rule.band * past.astray)
    past.beyond = past.beyond + 1 if other else 0
    again = other and (anew or past.beyond >= rule.lasting_points)
    if outside and (again or not other):
        past.astray += DEPARTED_RATE * (astray - past.astray)
        past.departed += (1.0 if past.departed == 0.0 or again else DEPARTED_RATE) * (off - past.departed)
    if outside or stuck or (past.departed == 0.0 and surprise >= rule.calm):
        past.calm, past.stepped = 0, 0.0
    else:
        past.stepped += step if past.calm > 0 else 0.0
        past.calm += 1
    still = past.moved <= past.restless or (past.calm >= STILL and past.stepped <= NEARER * past.calm * past.restless)
    if past.calm >= rule.calm_points and still:
        past.state, past.beyond = ORDINARY, 0
        for season in range(SEASONS):
            past.level[season] = past.slow[season] if abs(off) > past.width else past.before[season]
        return RECOVERED
    if at - past.opened >= rule.release:
        past.state, past.beyond = ORDINARY, 0
        return NEW_NORMAL
    return AGAIN if again else NOTHING


@compiled_bare
def _off(past: Any, at: int, value: float) -> float:
    """Return how far a value is from what was usual before the alarm."""
    return float(value - foretell(past, at, past.before) - past.middle)


@compiled_bare
def _remember(past: Any, at: int, floor: float, rule: Any) -> None:
    past.suspected, past.middle = at, past.center[RESIDUAL]
    scale = max(past.scale[RESIDUAL], floor)
    past.band, past.width = rule.band * scale, _reach(past, rule) * scale
    past.restless = max(math.exp(past.center[VARIATION] + rule.band * max(past.scale[VARIATION], VARIATION_FLOOR)), floor)


@compiled_bare
def _reach(past: Any, rule: Any) -> float:
    """Return how many scales a residual must be from the center to be rarer than `rare` on both sides, and at least the band's."""
    reach, histogram, weight, unit = rule.band, past.histogram[RESIDUAL], past.weight[RESIDUAL], past.unit[RESIDUAL]
    while reach < MOST_REACH:
        high = two_sided(histogram, weight, unit, reach, place_in(reach), rule.prior, rule.freedom)
        low = two_sided(histogram, weight, unit, -reach, place_in(-reach), rule.prior, rule.freedom)
        if max(high, low) < rule.rare:
            break
        reach *= REACH_STEP
    return float(reach)


@compiled_bare
def _open(past: Any, off: float, cause: int) -> int:
    past.cause = cause
    past.departed = off if abs(off) > past.width else 0.0
    past.state, past.opened, past.calm, past.beyond, past.stepped, past.astray = ALARMED, past.suspected, 0, 0, 0.0, 0.0
    return OPENED
