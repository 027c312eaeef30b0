"""The score of a point and what it teaches, a series at a time; compiled code. docs/detection.md has the mathematics."""

from __future__ import annotations

import math
from typing import Any

from models.compiled import compiled, compiled_bare
from models.surprise.alarm_kernel import VARIATION_FLOOR, turn
from models.surprise.past import (
    ALARMED,
    BURST,
    DAY,
    INNOVATION,
    LEVEL,
    MISSING,
    NO_SEASON,
    NOTHING,
    OPENED,
    RESIDUAL,
    SEASONS,
    SHIFT,
    VARIATION,
)
from models.surprise.season_kernel import DAY_MS, foretell, learn, slot_ms, weigh
from models.surprise.tail_kernel import count, place_in, two_sided

FLOOR_SHARE = 1e-4  # of the largest magnitude of late: what a flat series' scale is, at least
FADING = 0.9999
LEAST_FLOOR = 1e-12
LEAP = 5.0  # usual steps: a fault that ends with a longer one is over all the same
BURST_FLOOR = 0.02
MEAN_AD_TO_SIGMA = 1.2533  # Geary 1935
WEIGHED_EVERY, OFTEN = 16, 200  # points: how good the forecasts of seasons are changes slowly, but not at first
SETTLED = 20  # points after which a channel is robust; before, it takes what comes
GROWTH = 2.0  # of the largest magnitude, a point: one wild point is not what the scales of all later ones are held against
UNCOUNTED = 5  # points that no histogram counts: there is no scale yet
PAIR_RATE = 0.01  # of what one residual says of the next
INTERVAL_RATE = 0.02
LONG_GAP = 5  # intervals: a longer one counts as that
STUCK_LONGER = 3.0  # than the longest row of equal values of late
LONGER = 1.5  # than the longest gap of late: missing
DAYS = 1.5  # of a day's profile, before the level above it says something


@compiled_bare
def take(past: Any, at: int, value: float, rule: Any, reading: Any) -> None:
    """Judge a point and learn it: at in ms, later than the one before; value finite. Fills `reading`."""
    large = GROWTH * past.largest if past.seen > SETTLED and past.largest > 0.0 else math.inf
    past.largest = max(past.largest * FADING, min(abs(value), large))
    floor = FLOOR_SHARE * past.largest + LEAST_FLOOR
    stuck, step = False, 0.0
    reading.event = MISSING if past.seen > rule.warm_up and at > due(past, rule) else NOTHING
    if past.seen > 0:
        _note_gap(past, float(at - past.at))
        stuck = _stuck(past, value, rule)
        step, rate = abs(value - past.value), max(1.0 / rule.variation_span, 1.0 / past.seen)
        past.step += rate * (step - past.step)
        past.moved += rate * (min(step, LEAP * math.exp(past.center[VARIATION]) if past.seen > SETTLED else step) - past.moved)
    if past.seen < OFTEN or past.seen % WEIGHED_EVERY == 0:
        weigh(past, rule)
    reading.expected = foretell(past, at, past.level) if past.seen else value
    reading.width = rule.band * max(past.scale[RESIDUAL], floor)
    reading.season = past.season
    off = value - reading.expected
    surprise = _surprise(past, off, _as_usual(past, at, value, off), floor, rule, reading.said) if past.seen else 0.0
    far = rule.clip * rule.clip * max(past.scale[INNOVATION], floor) if past.seen > SETTLED else math.inf
    near = min(max(off, -far), far)
    past.together += PAIR_RATE * (near * past.residual - past.together)
    past.alone += PAIR_RATE * (past.residual * past.residual - past.alone)
    past.residual = near
    if past.state != ALARMED and past.beyond == 0:
        for season in range(SEASONS):  # before the point is learned: what opens an alarm is no part of what was before it
            past.before[season] = past.level[season]
            past.slow[season] += max(rule.rate, 1.0 / (past.seen + 1)) * (past.level[season] - past.slow[season])
    learn(past, at, value, far, rule, past.state == ALARMED)
    past.seen += 1
    past.at, past.value = at, value
    news = surprise if surprise > past.habit + rule.habit_margin else max(0.0, surprise - past.habit)
    past.habit = max(past.habit, min(surprise, rule.habit_most)) * rule.habit_kept
    brought = turn(past, at, value, step, surprise, news, _burst(past, surprise, rule), stuck, floor, rule)
    if brought != NOTHING and (reading.event == NOTHING or brought == OPENED):
        reading.event, reading.cause = brought, past.cause
    reading.surprise, reading.news, reading.score = surprise, news, news / (news + rule.threshold)
    reading.due = due(past, rule)
    reading.alarmed = past.state == ALARMED or reading.event == MISSING


@compiled_bare
def due(past: Any, rule: Any) -> float:
    """Return when a series counts as missing, if no point comes before: ms."""
    return float(past.at + max(rule.silence_intervals * past.interval, LONGER * past.gap))


@compiled_bare
def _note_gap(past: Any, gap: float) -> None:
    past.gap = max(past.gap * FADING, gap)
    longest = LONG_GAP * past.interval if past.seen > SETTLED else gap
    past.interval += max(INTERVAL_RATE, 1.0 / past.seen) * (min(gap, longest) - past.interval)
    unseen = int(max(gap - longest, 0.0))  # of which nobody knows whether what is suspected, or in alarm, lasted
    past.suspected += unseen
    past.opened += unseen


@compiled_bare
def _stuck(past: Any, value: float, rule: Any) -> bool:
    """Tell whether a series that used to move has had the same value for far longer than is usual."""
    past.longest *= FADING
    if value == past.value:
        past.same += 1
    else:
        past.longest, past.same = max(past.longest, past.same), 0
        past.changes += 1
    return bool(past.changes >= rule.warm_up and past.same >= max(rule.stuck_points, STUCK_LONGER * past.longest))


@compiled_bare
def _surprise(past: Any, off: float, usual: float, floor: float, rule: Any, said: Any) -> float:
    """Return -log10 of the harmonic mean of the channels' probabilities (Wilson 2019): valid under any dependence, but for a factor."""
    carried = min(max(past.together / max(past.alone, 1e-300), 0.0), 1.0) * rule.carried
    smooth = rule.prior / rule.level_rate
    change = off - carried * past.residual
    said[INNOVATION] = _channel(past, INNOVATION, change, change, floor, rule.prior, rule)
    said[RESIDUAL] = _channel(past, RESIDUAL, off, usual, floor, rule.prior, rule)
    said[LEVEL] = _channel(past, LEVEL, past.level[NO_SEASON], past.level[NO_SEASON], floor, smooth, rule)
    days = past.judged[DAY] * past.interval / DAY_MS
    daily = past.judged[DAY] >= rule.visits and days >= DAYS and past.interval <= slot_ms(DAY)
    said[SHIFT] = _channel(past, SHIFT, past.level[DAY], past.level[DAY], floor, smooth, rule) if daily else 1.0
    moved = math.log(past.step + floor)
    said[VARIATION] = _channel(past, VARIATION, moved, moved, VARIATION_FLOOR, rule.prior * rule.variation_span, rule)
    total = weights = 0.0
    for number in range(BURST):
        if number != SHIFT or daily:
            total += rule.weights[number] / said[number]
            weights += rule.weights[number]
    return math.log10(total / weights)


@compiled_bare
def _as_usual(past: Any, at: int, value: float, off: float) -> float:
    """Return as what the distance of a point from what was expected is counted.

    What comes back from a fault is far from the level that followed it, on the other side: where it is usual again it counts as that, and
    not as what was seen on that side, or a fault of that side would be nothing new for days.
    """
    if past.state != ALARMED or off * past.departed >= 0.0:
        return off
    was = float(value - foretell(past, at, past.before))
    return was if abs(was - past.middle) <= past.band and abs(was) < abs(off) else off


@compiled_bare
def _burst(past: Any, surprise: float, rule: Any) -> float:
    """Return how improbable so many surprises so close together are."""
    if past.heard[RESIDUAL] <= rule.warm_up:
        return 0.0
    past.recent += (min(surprise, rule.burst_most) - past.recent) / rule.burst_span
    more = past.recent > past.center[BURST]
    probability = _channel(past, BURST, past.recent, past.recent, BURST_FLOOR, rule.prior * rule.burst_span, rule)
    return -math.log10(probability) if more else 0.0


@compiled_bare
def _channel(past: Any, number: int, found: float, counted: float, floor: float, prior: float, rule: Any) -> float:
    """Return the probability of a channel's value, and learn it; it is counted as another one.

    A channel that is a mean over k points learns a k-th as much from each: its prior is k times as strong.
    """
    if past.heard[number] == 0:
        past.center[number] = found
    scale = max(past.scale[number], floor)
    off = found - past.center[number]
    residual = off / scale
    place, histogram = place_in(residual), past.histogram[number]
    probability = 1.0
    if past.heard[number] >= rule.warm_up:
        probability = two_sided(histogram, past.weight[number], past.unit[number], residual, place, prior, rule.freedom)
    past.heard[number] += 1
    if past.heard[number] > UNCOUNTED:
        if counted != found:
            place = place_in((counted - past.center[number]) / scale)
        past.weight[number], past.unit[number] = count(histogram, past.weight[number], past.unit[number], place, rule.memory, rule.kept)
    if past.heard[number] > SETTLED:
        off = min(max(off, -rule.clip * scale), rule.clip * scale)
    rate = max(rule.rate, 1.0 / past.heard[number])
    past.center[number] += rate * off
    past.scale[number] += rate * (MEAN_AD_TO_SIGMA * abs(off) - past.scale[number])
    return probability


@compiled
def run(past: Any, series: Any, at: Any, value: Any, rule: Any, readings: Any) -> None:
    """Take points in order. Args: past (k,), of the series; series (n,), which of them each is of; at (n,), value (n,), readings (n,)."""
    for i in range(len(at)):
        take(past[series[i]], at[i], value[i], rule, readings[i])
