"""The detector over one series from its beginning: causal, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surprise.drift import Drift, drifts
from models.surprise.past import ALARMED, DRIFTED, DRIFTS, NOTHING, READING, empty
from models.surprise.rule import rule_of
from models.surprise.score_kernel import run
from models.surprise.season_kernel import HOUR_MS, foretell
from schemas.config.score import ScoreRule
from schemas.samples import LARGEST

LONG_MS = HOUR_MS  # a shorter alarm moves the mean of an hour or two, which is no drift
AFTER_MS = 4 * HOUR_MS  # the hour in which an alarm ended, and the three calm ones that end a drift


def judge(at: NDArray[np.int64], value: NDArray[np.float64], config: ScoreRule) -> Any:
    """Return what is said of each point, from what came before it alone.

    Args: at (n,), ms, rising; value (n,), finite, and beyond ±LARGEST it counts as that; config. Returns (n,), of READING.
    Raises ValueError where times do not rise, or a value is not finite.
    """
    if len(falls := np.flatnonzero(np.diff(at) <= 0)):
        raise ValueError(f"point {falls[0] + 2} is not later than the one before it")
    if len(odd := np.flatnonzero(~np.isfinite(value))):
        raise ValueError(f"point {odd[0] + 1} is not a finite number")
    value, readings = np.clip(value, -LARGEST, LARGEST), np.zeros(len(at), READING)
    run(empty(1), np.zeros(len(at), np.int64), at, value, rule_of(config), readings)
    _mark(at, readings, drifts(at, value, config))
    return readings


def before(
    at: NDArray[np.int64], value: NDArray[np.float64], readings: Any, config: ScoreRule
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by what an open alarm is judged at each point: what was usual before it, and how far around that is inside.

    Args: at, value and config as `judge` takes them, readings (n,) as it returned them. Returns (n,) twice: NaN where no alarm is open, or
    a drift alone, which is judged by hours.
    """
    past, rule, again = empty(1), rule_of(config), np.zeros(len(at), READING)
    series, value = np.zeros(len(at), np.int64), np.clip(value, -LARGEST, LARGEST)
    middle, width, begin = np.full(len(at), np.nan), np.full(len(at), np.nan), 0
    for row in np.flatnonzero(readings["alarmed"]).tolist():
        run(past, series[begin : row + 1], at[begin : row + 1], value[begin : row + 1], rule, again[begin : row + 1])
        begin = row + 1
        if past["state"][0] == ALARMED:
            middle[row] = past["middle"][0] + foretell(past[0], at[row], past["before"][0])
            width[row] = past["width"][0]
    return middle, width


def _mark(at: NDArray[np.int64], readings: Any, found: list[Drift]) -> None:
    """Let drifts be alarms: each is told at the first point after the hour that decided at which nothing else is told and no alarm is open.

    A longer alarm is about the drift already: what is left of that once it ended is told only where it lasts. What is over before there
    was a point for it is not told. Of a point only the ones before it decide.
    """
    free = (readings["event"] == NOTHING) & ~readings["alarmed"]
    quiet = free & ~_after_long(at, readings["alarmed"])
    for one in found:
        begin = int(np.searchsorted(at, one.found))
        end = len(at) if one.over is None else int(np.searchsorted(at, one.over))
        if not quiet[begin:end].any():
            continue
        told = begin + int(np.argmax(quiet[begin:end]))
        readings["event"][told], readings["alarmed"][told:end] = DRIFTS, True
        if free[end:].any():
            over = end + int(np.argmax(free[end:]))
            readings["event"][over] = DRIFTED
            free[over] = quiet[over] = False  # the next drift may be found before the end of this one is told


def _after_long(at: NDArray[np.int64], alarmed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each point whether a long alarm ended shortly before it."""
    found = np.zeros(len(at), np.bool_)
    turns = np.flatnonzero(np.diff(alarmed, prepend=False))
    for begin, end in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=False):  # the last may be open still
        if at[end] - at[begin] >= LONG_MS:
            found[end : np.searchsorted(at, at[end] + AFTER_MS)] = True
    return found
