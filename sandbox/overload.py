"""How busy a service is on ordinary days, so that its overload is one at every moment, and what cures it a cure.

All loads are shares of what the workers of the scenario can serve. At its lowest the users' rhythm must not let a queue drain by
itself; at its highest neither ordinary load nor a peak may make one, and SCALE_CAP times the workers must drain it.
"""

from __future__ import annotations

from sandbox.kinds import KINDS, SCALE_CAP
from sandbox.scenario import Scenario

SURGE = 4.0  # the contract's factor: what a service without a fault of this kind is planned for
OVERLOAD = 1.18  # at the rhythm's lowest
DRAINED = 0.85  # at the rhythm's highest, once there are SCALE_CAP times the workers
LEAST_BUSY, MOST_BUSY = 0.35, 0.45  # ordinary load at the middle: a burn must show, in CPU too, which cannot rise above the cap
FULLEST = 0.75  # ordinary load at the rhythm's highest
PEAK, PEAK_BUSY = 1.6, 0.85  # how far a harmless rise goes: so many times the load, or to so much at the rhythm's highest
MOST_SWING = 0.5  # between the lowest and the highest of more, neither queues nor their cure could last


def swing(scenario: Scenario) -> float:
    """Return the amplitude of the users' rhythm."""
    return min(scenario.load.amplitude, MOST_SWING)


def factors(scenario: Scenario, name: str) -> list[float]:
    """Return the factors by which the file wants this service overloaded."""
    mine = [fault for fault in scenario.faults if "factor" in KINDS[fault.kind].params and scenario.guilty(fault) == name]
    return [fault.param("factor") for fault in mine]


def busy(scenario: Scenario, name: str) -> float:
    """Return the share of capacity that ordinary load takes at the middle of the rhythm."""
    low, high = 1 - swing(scenario), 1 + swing(scenario)
    wanted = factors(scenario, name) or [SURGE]
    overloaded = max(LEAST_BUSY, OVERLOAD / (min(wanted) * low))
    curable = SCALE_CAP * DRAINED / (max(wanted) * high)
    return min(overloaded, curable, MOST_BUSY, FULLEST / high)


def cost_factor(factor: float, busy: float, swing: float) -> float:
    """Return how many times the CPU a request costs in a burn: the factor, and more where that would fit."""
    return max(factor, OVERLOAD / (busy * (1 - swing)))


def extra_load(factor: float, busy: float, swing: float) -> float:
    """Return how many times the ordinary load a surge adds, at an even rate: factor - 1, and more where that would fit."""
    return max(factor - 1, OVERLOAD / busy - (1 - swing))


def peak(busiest: float, swing: float) -> float:
    """Return the factor of a harmless rise."""
    return min(PEAK, PEAK_BUSY / (busiest * (1 + swing)))
