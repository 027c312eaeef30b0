"""Where the system is not to the letter what the file says, so that its faults are what their kinds say."""

from __future__ import annotations

from sandbox import overload
from sandbox.kinds import KINDS
from sandbox.plan import Plan
from sandbox.scenario import Scenario


def notes(plan: Plan) -> list[str]:
    """Return a line for each."""
    return [*_rhythm(plan), *_factors(plan), *_caps(plan)]


def _rhythm(plan: Plan) -> list[str]:
    given = plan.scenario.load.amplitude
    if given <= plan.swing:
        return []
    return [
        f"load.amplitude: the load swings by {plan.swing:g}, not {given:g}: no overload and no cure of one would last longer than a wave"
    ]


def _factors(plan: Plan) -> list[str]:
    found = []
    for i, fault in enumerate(plan.scenario.faults):
        if "factor" not in KINDS[fault.kind].params:
            continue
        name, factor = plan.scenario.guilty(fault), fault.param("factor")
        one = plan.services[name]
        if fault.kind == "cpu_burn":
            real = overload.cost_factor(factor, one.busy, plan.swing)
        else:
            real = 1 + overload.extra_load(factor, one.busy, plan.swing)
        if real > 1.001 * factor:
            found.append(f"faults[{i}].params.factor: {real:.1f} is used, for {factor:g} would fit into what {name}'s workers can serve")
    return found


def _caps(plan: Plan) -> list[str]:
    scenario: Scenario = plan.scenario
    asked = {name: one.service.worker_cpu or scenario.worker_cpu for name, one in plan.services.items()}
    less = {name: one.worker_cpu for name, one in plan.services.items() if one.worker_cpu < 0.999 * asked[name]}
    if not less:
        return []
    return [f"worker_cpu: a worker has {min(less.values()):.4f} of a core, for the system has to leave the machine to others"]
