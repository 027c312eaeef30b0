"""Silence: what was heard regularly and is not any more, while the rest of its partition goes on.

Silence is measured on the active clock, which moves with event time only while the partition is fed: by rows, or by heartbeats that
say that a source goes on which has no rows here. When everything stops, the pipeline is what is silent (its sources' watermarks
stand, `airra_detect_idle_sources` says so), and when it comes back nobody is accused. A silence says nothing where something else
explains it: `up` is 0, the process began anew without that series, or a whole instance went while others of its service go on
(scaled in, replaced). What explains it may come later: then the silence ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.detection.hear_kernel import LEAST_HEARD, advanced
from models.detection.judge import NEVER, ORDINARY
from models.detection.packed import Bools, Floats, Ints
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from schemas.config.detect import DetectConfig


@dataclass
class ActiveClock:
    """Milliseconds of event time during which the partition was fed."""

    now: int = 0
    last: int | None = None  # event time of the newest window with rows, or of a heartbeat
    usual: float = 1_000.0  # gap between those

    def advance(self, end: int, window_ms: int) -> int:
        """Go on to a window, or a heartbeat, that ends then."""
        last = NEVER if self.last is None else self.last
        self.now, self.last, self.usual = advanced(self.now, last, self.usual, end, window_ms)
        return self.now


@dataclass(frozen=True, slots=True)
class Silences:
    silent: list[int]  # slots that are silent now, by their unit's primary
    settled: list[int]  # slots whose anomaly ends, for their series is gone and nobody misses it
    forgotten: list[int]  # units whose past is to be given up


def look(registry: Registry, active: int, waiting: Ints, config: DetectConfig) -> Silences:
    """Find the units that fell silent, and those whose silence is explained by now; changes only `gone`.

    Time alone ends no silence: a unit with an open anomaly is not forgotten, nor one with a raw series in `waiting`, for its rows
    are news of it.
    """
    units, slots = registry.units, registry.slots
    used = units.used
    quiet = active - units.heard[:used]
    live = units.inst[:used] != NONE
    limits: Floats = np.maximum(config.silence_s * 1000, config.silence_intervals * units.interval[:used])
    overdue = live & (quiet > limits) & (units.times[:used] >= LEAST_HEARD) & (units.primary[:used] != NONE)
    old = live & (quiet > config.forget_s * 1000)
    if not (overdue.any() or old.any()):
        return Silences([], [], [])
    troubled = _troubled(registry)
    rows = np.flatnonzero(overdue & (~units.gone[:used] | troubled))
    whole, gone, down = _explain(registry, rows, active, limits[rows])
    units.gone[rows] = ~down  # said once, or never
    primary = units.primary[rows]
    fell = ~gone & ~down & slots.judged[primary] & (slots.state[primary] == ORDINARY)
    settled = [slot for unit, all_of_it in zip(rows[gone].tolist(), whole[gone].tolist(), strict=True)
               for slot in open_slots(registry, unit, whole=all_of_it)]  # fmt: skip
    old &= ~troubled
    old[registry.raws.unit[waiting]] = False
    return Silences(primary[fell].tolist(), list(dict.fromkeys(settled)), np.flatnonzero(old).tolist())


def _explain(registry: Registry, rows: Ints, active: int, limits: Floats) -> tuple[Bools, Bools, Bools]:
    """Tell of silent units whether their whole instance went, whether nobody misses them, and whether `up` tells it already."""
    units, insts = registry.units, registry.insts
    inst = units.inst[rows]
    services = insts.service[: insts.used]
    newest = np.full(len(registry.services.names), NEVER, np.int64)  # moment at which any instance of a service was heard
    named = services[services != NONE]
    np.maximum.at(newest, named, insts.heard[: insts.used][services != NONE])
    whole = active - insts.heard[inst] > limits
    replaced = active - newest[services[inst]] <= limits
    down = ~whole & insts.down[inst]
    gone = np.where(whole, replaced, ~down & (insts.begun[inst] >= units.heard[rows]))
    return whole, gone, down


def _troubled(registry: Registry) -> Bools:
    """Tell which units have an open anomaly of their own, or of their instance."""
    units, insts, slots = registry.units, registry.insts, registry.slots
    trouble = slots.state != ORDINARY
    inst = units.inst[: units.used]
    own = [column[: units.used] for column in (units.primary, units.median, units.rate)]
    shared = [np.where(inst != NONE, column[inst], NONE) for column in (insts.ratio, insts.restarts)]
    found: Bools = np.zeros(units.used, np.bool_)
    for column in own + shared:
        found |= (column != NONE) & trouble[column]
    return found


def open_slots(registry: Registry, unit: int, *, whole: bool) -> list[int]:
    """List the slots with an open anomaly, of a unit and, where all of its instance goes, of the instance."""
    units, insts, slots = registry.units, registry.insts, registry.slots
    mine = [units.primary[unit], units.median[unit], units.rate[unit]]
    if whole:
        mine += [insts.ratio[units.inst[unit]], insts.restarts[units.inst[unit]]]
    return [int(slot) for slot in mine if slot != NONE and slots.state[slot] != ORDINARY]
