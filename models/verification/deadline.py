"""How long after an action its verdict may wait: until the openers have been read often enough to say anything."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import median

from schemas.config.policy import Verification as Bounds
from schemas.signals import SeriesEvidence

MAX_WAIT_S = 1800.0  # five points of a series read every 5 minutes; whoever asked for the action waits for its end no longer
SPARE = 2  # intervals: the action ends anywhere within one, and the last point needs its way here


def wait_s(openers: Iterable[SeriesEvidence], bounds: Bounds) -> float:
    """Return for how many seconds a finished action is watched: `deadline_s`, or longer where its openers are read too seldom for it.

    That is until the most seldom read opener has `points` settled ones, but at most 30 minutes.
    """
    widest = max((interval_s(opener) for opener in openers), default=0.0)
    return max(bounds.deadline_s, min(MAX_WAIT_S, bounds.settle_s + (bounds.points + SPARE) * widest))


def interval_s(reading: SeriesEvidence) -> float:
    """Return the usual (median) time between a reading's points in seconds; 0 where it has fewer than two."""
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(reading.points)]
    return median(gaps) / 1000 if gaps else 0.0
