"""The seasons that compete to foretell a series: none, the hour, the day, the week; compiled code.

Each has a profile (what is usual in each slot of its period) and a level above it that follows what is lately. The forecast is the mean
of theirs, each weighted by the inverse of its squared error of late, to a power: experts' advice in the manner of Vovk's aggregating
forecaster (Cesa-Bianchi & Lugosi, Prediction, Learning, and Games, 2006, ch. 2), with polynomial weights. One that was not better
than the level alone by a margin hardly counts, so that noise finds no season.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled_bare
from models.surprise.past import DAY, DAY_SLOTS, HOUR, HOUR_SLOTS, NO_SEASON, SEASONS, WEEK_SLOTS

HOUR_MS, DAY_MS, WEEK_MS = 3_600_000, 86_400_000, 604_800_000
MOST_WEIGHT = 1e12


@compiled_bare
def slot_of(season: int, at: int) -> int:
    """Return the slot of a season that a time in ms falls into: UTC, weeks from Thursday as the epoch's."""
    if season == HOUR:
        return at % HOUR_MS * HOUR_SLOTS // HOUR_MS
    if season == DAY:
        return at % DAY_MS * DAY_SLOTS // DAY_MS
    return at % WEEK_MS * WEEK_SLOTS // WEEK_MS


@compiled_bare
def slot_ms(season: int) -> float:
    if season == HOUR:
        return HOUR_MS / HOUR_SLOTS
    return DAY_MS / DAY_SLOTS if season == DAY else WEEK_MS / WEEK_SLOTS


@compiled_bare
def period_ms(season: int) -> float:
    if season == HOUR:
        return HOUR_MS
    return DAY_MS if season == DAY else WEEK_MS


@compiled_bare
def usual(past: Any, season: int, at: int) -> float:
    """Return the profile's value at this time; NaN where it has none yet, 0 without a season."""
    if season == NO_SEASON:
        return 0.0
    slot = slot_of(season, at)
    if season == HOUR:
        return float(past.hour[slot])
    return float(past.day[slot]) if season == DAY else float(past.week[slot])


@compiled_bare
def weigh(past: Any, rule: Any) -> None:
    """Note how much the forecast of each season counts, and which counts most."""
    past.trust[NO_SEASON], past.season = 1.0, NO_SEASON
    for season in range(NO_SEASON + 1, SEASONS):
        past.trust[season] = 0.0
        if past.judged[season] >= rule.visits and past.interval <= slot_ms(season):
            better = past.error[NO_SEASON] * rule.season_gain / max(past.error[season], 1e-300)
            past.trust[season] = min(better**rule.season_power, MOST_WEIGHT)
        if past.trust[season] > past.trust[past.season]:
            past.season = season


@compiled_bare
def foretell(past: Any, at: int, levels: Any) -> float:
    """Return what is expected at this time, above these levels."""
    total, weights = levels[NO_SEASON], 1.0
    for season in range(NO_SEASON + 1, SEASONS):
        if past.trust[season] > 0.0:
            known = usual(past, season, at)
            if not np.isnan(known):
                total += past.trust[season] * (known + levels[season])
                weights += past.trust[season]
    return float(total / weights)


@compiled_bare
def learn(past: Any, at: int, value: float, most: float, rule: Any, alarmed: bool) -> None:
    """Let every season learn a point. An error above `most` counts as that; of an alarm only the levels learn."""
    for season in range(SEASONS):
        known = usual(past, season, at)
        if np.isnan(known):
            if not alarmed:
                _put(past, season, at, value)
            continue
        off = value - known - past.level[season]
        if alarmed:
            past.level[season] += rule.level_rate * off
            continue
        past.judged[season] += 1
        rate = rule.level_rate
        if season == NO_SEASON:
            rate = max(rate, 1.0 / past.judged[season])
        else:
            visit = min(1.0, past.interval / slot_ms(season)) if past.interval > 0 else 1.0  # a point's share of one
            visits = past.judged[season] * past.interval / period_ms(season)  # of each slot, about
            _put(past, season, at, known + max(rule.profile_rate, 1.0 / (visits + 1.0)) * visit * (value - known))
        past.level[season] += rate * off
        near = min(max(off, -most), most)
        past.error[season] += max(past.interval / rule.error_memory, 1.0 / past.judged[season]) * (near * near - past.error[season])


@compiled_bare
def _put(past: Any, season: int, at: int, value: float) -> None:
    slot = slot_of(season, at)
    if season == HOUR:
        past.hour[slot] = value
    elif season == DAY:
        past.day[slot] = value
    else:
        past.week[slot] = value
