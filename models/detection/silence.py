"""Silence: what was heard regularly and is not any more, while the rest of its partition goes on.

Silence is measured on the active clock, which moves with event time only while rows of the partition come: when everything
stops, the pipeline is what is silent (its sources' watermarks stand, `airra_detect_idle_sources` says so), and when it comes back
nobody is accused. A silence says nothing where something else explains it: `up` is 0, the process began anew without that series,
or a whole instance went while others of its service go on (scaled in, replaced).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from models.detection.judge import ORDINARY, SHIFTED, SILENT
from models.detection.packed import Floats, Ints
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from schemas.config.detect import DetectConfig

INTERVAL_WEIGHT = 0.1  # of the newest interval
LEAST_HEARD = 10  # times, before an interval is known
OUTAGE_MS = 5_000  # a gap in everything that is longer than this, and than three times the usual, is an outage
LONGEST_GAP_MS = 60_000  # as which a longer one counts towards the usual


class Verdict(Enum):
    SILENT = auto()
    DOWN = auto()  # `up` tells it
    GONE = auto()  # and nobody misses it


@dataclass
class ActiveClock:
    """Milliseconds of event time during which the partition was fed."""

    now: int = 0
    last: int | None = None  # event time of the newest window with rows
    usual: float = 1_000.0  # gap between windows with rows

    def advance(self, end: int, window_ms: int) -> int:
        gap = window_ms if self.last is None else end - self.last
        self.now += gap if gap <= max(OUTAGE_MS, 3 * self.usual) else window_ms
        self.usual += INTERVAL_WEIGHT * (min(gap, LONGEST_GAP_MS) - self.usual)
        self.last = end
        return self.now


@dataclass(frozen=True, slots=True)
class Silences:
    silent: list[int]  # slots that are silent now, by their unit's primary
    settled: list[int]  # slots whose anomaly ends, for their series is gone and nobody misses it
    forgotten: list[int]  # units to give up


def hear(registry: Registry, units: Ints, active: int) -> None:
    """Note that these units were heard at this moment of the active clock, and learn their intervals."""
    table = registry.units
    gap = (active - table.heard[units]).astype(np.float64)
    times = table.times[units]
    learned = np.where(times == 1, gap, table.interval[units] + INTERVAL_WEIGHT * (gap - table.interval[units]))
    table.interval[units] = np.where(times == 0, 0.0, learned)
    table.times[units] = times + 1
    table.heard[units] = active
    table.gone[units] = False


def look(registry: Registry, active: int, config: DetectConfig) -> Silences:
    """Find the units that fell silent; changes only `gone`."""
    units, slots = registry.units, registry.slots
    used = units.used
    quiet = active - units.heard[:used]
    live = (units.inst[:used] != NONE) & (units.times[:used] > 0)
    limits: Floats = np.maximum(config.silence_s * 1000, config.silence_intervals * units.interval[:used])
    late = live & (quiet > limits) & ~units.gone[:used] & (units.times[:used] >= LEAST_HEARD)
    silent: list[int] = []
    settled: list[int] = []
    for unit in np.flatnonzero(late).tolist():
        slot = int(units.primary[unit])
        if slot == NONE or slots.state[slot] == SILENT:
            continue
        whole = active - int(registry.insts.heard[units.inst[unit]]) > limits[unit]
        verdict = _explain(registry, unit, active, float(limits[unit]), whole=whole)
        units.gone[unit] = verdict is not Verdict.DOWN  # said once, or never
        if verdict is Verdict.GONE:
            settled += _open(registry, unit, whole=whole)
        elif verdict is Verdict.SILENT and slots.judged[slot] and slots.state[slot] == ORDINARY:
            silent.append(slot)
    forgotten = np.flatnonzero(live & (quiet > config.forget_s * 1000)).tolist()
    for unit in forgotten:
        settled += _open(registry, unit, whole=bool(registry.insts.units[units.inst[unit]] == 1))
    return Silences(silent, list(dict.fromkeys(settled)), forgotten)


def _explain(registry: Registry, unit: int, active: int, limit: float, *, whole: bool) -> Verdict:
    units, insts = registry.units, registry.insts
    inst = int(units.inst[unit])
    if whole:
        return Verdict.GONE if _others_live(registry, inst, active, limit) else Verdict.SILENT
    if insts.up[inst] < 0.5:
        return Verdict.DOWN
    return Verdict.GONE if insts.begun[inst] >= units.heard[unit] else Verdict.SILENT


def _others_live(registry: Registry, inst: int, active: int, limit: float) -> bool:
    service = registry.names[inst][0]
    heard = registry.insts.heard
    return any(name == service and other != inst and active - heard[other] <= limit for other, (name, _) in registry.names.items())


def _open(registry: Registry, unit: int, *, whole: bool) -> list[int]:
    """List the slots with an open anomaly, of a unit and, where all of its instance went, of the instance."""
    units, insts, slots = registry.units, registry.insts, registry.slots
    mine = [units.primary[unit], units.median[unit], units.rate[unit]]
    if whole:
        mine += [insts.ratio[units.inst[unit]], insts.restarts[units.inst[unit]]]
    return [int(slot) for slot in mine if slot != NONE and slots.state[slot] in (SHIFTED, SILENT)]
