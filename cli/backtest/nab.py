"""The score of the Numenta Anomaly Benchmark, version 1.1 (Lavin & Ahmad 2015; numenta/NAB, sweeper.py and runner.py).

The first 15 % of a file (at most 750 rows) are not scored. In a window the earliest alert counts, by a sigmoid of where in the window it
is; a window without one costs; each alert outside costs, less shortly behind a window. 0 is a detector that never alerts, 100 a perfect
one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROFILES = {"standard": (1.0, 0.11), "reward_low_FP_rate": (1.0, 0.22), "reward_low_FN_rate": (2.0, 0.11)}  # a miss, a false alert
_PROBATION, _MOST_PROBATION = 0.15, 750
_FAR = 3.0  # window widths behind a window
_OUTSIDE = -1


@dataclass(frozen=True)
class Truth:
    """What each row of a file is worth: (n,) each."""

    worth: NDArray[np.float64]  # of an alert there: in a window up to 1, outside down to -1
    window: NDArray[np.int64]  # number, or -1
    scored: NDArray[np.bool_]
    windows: int


@dataclass(frozen=True)
class Score:
    score: float
    threshold: float
    hit: int
    windows: int
    false: int


def truth(at: NDArray[np.int64], windows: Sequence[tuple[int, int]]) -> Truth:
    """Weigh the rows of a file. Args: at (n,) in ms; windows, first and last moment of each, in ms, in order."""
    count = len(at)
    worth, number = np.full(count, -1.0), np.full(count, _OUTSIDE)
    begins = [int(np.flatnonzero(at == first)[0]) for first, _ in windows]
    ends = [int(np.flatnonzero(at == last)[0]) for _, last in windows]
    most = _sigmoid(-1.0)
    for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        width = end - begin + 1
        behind = begins[place + 1] if place + 1 < len(windows) else count
        rows = np.arange(begin, end + 1)
        worth[rows] = [_sigmoid(-(end - row + 1) / width) / most for row in rows.tolist()]
        number[rows] = place
        if width > 1:
            worth[end + 1 : behind] = [_sigmoid((row - end) / (width - 1)) for row in range(end + 1, behind)]
    scored = np.arange(count) >= min(math.floor(_PROBATION * count), _MOST_PROBATION)
    return Truth(worth, number, scored, len(windows))


def score(truths: Mapping[str, Truth], scores: Mapping[str, NDArray[np.float64]], profile: str, threshold: float) -> Score:
    """Return the score of all files where each row with at least this score is an alert."""
    miss, false_weight = PROFILES[profile]
    raw, hit, false, windows = 0.0, 0, 0, 0
    for name, one in truths.items():
        alert = (scores[name] >= threshold) & one.scored
        outside = alert & (one.window == _OUTSIDE)
        raw += false_weight * float(one.worth[outside].sum())
        false += int(outside.sum())
        windows += one.windows
        for number in range(one.windows):
            inside = one.window == number
            if not (inside & one.scored).any():
                continue
            found = one.worth[alert & inside]
            hit += len(found) > 0
            raw += float(found.max()) if len(found) else -miss
    return Score(100 * (raw + miss * windows) / ((1 + miss) * windows), threshold, hit, windows, false)


def best(truths: Mapping[str, Truth], scores: Mapping[str, NDArray[np.float64]], profile: str) -> Score:
    """Return the score at the one threshold that is best for all files together: it is known only afterwards."""
    miss, false_weight = PROFILES[profile]
    found, values, first = [], [], 0
    for name, one in truths.items():
        rows = np.flatnonzero(one.scored)
        found.append(scores[name][rows])
        values.append(np.stack([one.worth[rows], np.where(one.window[rows] == _OUTSIDE, _OUTSIDE, one.window[rows] + first)], axis=1))
        first += one.windows
    score_of, rows_of = np.concatenate(found), np.concatenate(values)
    order = np.argsort(-score_of, kind="stable")
    held: dict[int, float] = {}
    total, threshold, most = 0.0, math.inf, 0.0
    for place, row in enumerate(order.tolist()):
        worth, window = float(rows_of[row, 0]), int(rows_of[row, 1])
        if window == _OUTSIDE:
            total += false_weight * worth
        elif worth > held.get(window, -miss):
            total += worth - held.get(window, -miss)
            held[window] = worth
        last = place + 1 == len(order) or score_of[order[place + 1]] != score_of[row]
        if last and total > most:
            most, threshold = total, float(score_of[row])
    return score(truths, scores, profile, threshold)


def _sigmoid(place: float) -> float:
    return -1.0 if place > _FAR else 2.0 / (1.0 + math.exp(5.0 * place)) - 1.0
