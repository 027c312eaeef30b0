"""What the score of a service from all its kinds is worth: incidents found at a given specificity, beside the worst single series.

The stage's own code: each column is a derived series, judged by its kind's band; each service has its past. Quiet rows come in their
order; an incident's rows follow the last of them, whenever it was, and are not learned.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cli.backtest.petshop import Incident, Metrics
from cli.config import ConfigError
from models.detection.judge import configure, slots_for, step
from models.joint.kernel import distances, learn
from models.joint.past import HARM, KINDS, empty
from models.joint.readings import readings
from schemas.config.detect import DetectConfig
from schemas.kinds import Direction, Kind

SPECIFICITY = 0.95
KNOWN = {  # by metric: kind, unit, direction
    "latency": (Kind.LATENCY, "s", Direction.UP),
    "availability": (Kind.ERRORS, "", Direction.DOWN),
    "requests": (Kind.REQUESTS, "", Direction.BOTH),
}
TOGETHER, SINGLE = "all kinds of a service together", "the worst single series"
Scores = dict[str, NDArray[np.float64]]  # by method: one of each row


@dataclass(frozen=True)
class Found:
    method: str
    threshold: float
    quiet: int  # windows of quiet rows
    passed: int  # of them below the threshold
    incidents: int
    found: int


class Site:
    """All services of a table, fed row by row."""

    def __init__(self, columns: Sequence[tuple[str, str, str]], config: DetectConfig) -> None:
        self._config = config
        self._slots = slots_for(config)
        self._slot_of: dict[tuple[str, str, str], int] = {}
        groups: dict[tuple[str, Kind], list[int]] = defaultdict(list)
        for column in columns:
            service, metric, _ = column
            if metric not in KNOWN:
                raise ConfigError(f"a metric {metric!r}: known are {', '.join(KNOWN)}")
            kind, unit, direction = KNOWN[metric]
            slot = self._slot_of[column] = self._slots.take()
            configure(self._slots, slot, config.kinds[kind], unit, direction, judged=True)
            groups[service, kind].append(slot)
        services = sorted({service for service, _ in groups})
        self._members = np.array([slot for group in groups.values() for slot in group], np.int64)
        self._starts = np.cumsum([0, *map(len, groups.values())])
        self._service = np.array([services.index(service) for service, _ in groups], np.int64)
        self._column = np.array([KINDS.index(kind) for _, kind in groups], np.int64)
        self._harm = np.array([slot for (_, kind), group in groups.items() if kind in HARM for slot in group], np.int64)
        self._rows = np.arange(len(services))
        self._pasts = empty(len(services))

    def take(self, metrics: Metrics, at: NDArray[np.int64], *, learned: bool) -> Scores:
        """Take the rows of a table at these times; return the scores of each."""
        slots = np.array([self._slot_of.get(column, -1) for column in metrics.columns])
        scored = [self._row(slots, moment, row, learned=learned) for moment, row in zip(at.tolist(), metrics.values, strict=True)]
        return {name: np.array([one[place] for one in scored]) for place, name in enumerate((TOGETHER, SINGLE))}

    def _row(self, slots: NDArray[np.int64], at: int, values: NDArray[np.float64], *, learned: bool) -> tuple[float, float]:
        there = (slots >= 0) & np.isfinite(values)
        step(self._slots, slots[there], np.full(int(there.sum()), at), values[there], self._config)
        ready = self._config.min_history
        table = self._slots.rows
        x = readings(table, self._members, self._starts, self._service, self._column, len(self._rows), ready, at)
        found = distances(self._pasts, self._rows, x)
        if learned:
            learn(self._pasts, self._rows, x)
        harm = table[self._harm]
        z = harm["z"] * harm["sign"]
        heard = (harm["seen"] > ready) & (harm["newest"] >= at)
        return float(np.max(found, where=np.isfinite(found), initial=0)), float(np.max(z, where=heard, initial=0))


def measure(quiet: Metrics, incidents: Sequence[Incident], config: DetectConfig) -> list[Found]:
    """Set each method's threshold on the second half of the quiet rows; return what it finds there of the incidents.

    A window is as long as most incidents are; it is above a threshold where one of its rows is.
    """
    site = Site(quiet.columns, config)
    calm = site.take(quiet, quiet.at, learned=True)
    every = int(np.median(np.diff(quiet.at)))
    scores = []
    for incident in incidents:
        own = incident.metrics
        at = int(quiet.at[-1]) + every * (1 + np.arange(len(own.at)))
        taken = copy.deepcopy(site).take(own, at, learned=False)
        scores.append({name: rows[own.at >= incident.onset] for name, rows in taken.items()})
    if short := [incident.name for incident, one in zip(incidents, scores, strict=True) if not len(one[TOGETHER])]:
        raise ConfigError(f"{', '.join(short)}: no row from its beginning on")
    size = int(np.median([len(one[TOGETHER]) for one in scores]))
    return [found_above(name, windows(calm[name][len(quiet.at) // 2 :], size), [one[name].max() for one in scores]) for name in calm]


def windows(rows: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the highest of each so many rows in a row."""
    if len(rows) < 2 * size:
        raise ConfigError(f"{len(rows)} quiet rows in the second half: too few for windows of {size}")
    highest: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(rows, size).max(axis=1)
    return highest


def found_above(method: str, quiet: NDArray[np.float64], incidents: Sequence[float]) -> Found:
    """Return what is found of the incidents above the threshold that SPECIFICITY of the quiet windows do not pass."""
    threshold = float(np.quantile(quiet, SPECIFICITY))
    passed = int((quiet <= threshold).sum())
    return Found(method, threshold, len(quiet), passed, len(incidents), sum(bool(one > threshold) for one in incidents))
