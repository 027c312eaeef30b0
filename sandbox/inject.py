"""Make a fault of the scenario happen, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from sandbox.channel import Child
from sandbox.control.actions import Change, change
from sandbox.control.target import Build, Target, bumped
from sandbox.plan import Plan, slow_reads
from sandbox.scenario import Fault
from sandbox.service.app import HOT_PAGE
from sandbox.spec import Stream

PEAK_RAMP_S, PEAK_HOLD_S = 10.0, 90.0
DEPLOYED_BY = "ci"
FLAGGED_BY = "release-manager"


@dataclass(frozen=True, slots=True)
class System:
    """What a fault can get at."""

    plan: Plan
    targets: Mapping[str, Target]
    load: Child
    publish: Callable[[Change], None]
    now: Callable[[], int]


async def inject(system: System, fault: Fault) -> str:
    """Do it; return the service it was done to."""
    name = system.plan.scenario.guilty(fault)
    await _INJECTORS[fault.kind](system, fault, system.targets[name])
    return name


async def _memory_leak(_: System, fault: Fault, target: Target) -> None:
    await target.spoil("leak", mb_per_s=fault.param("mb_per_s"))


async def _cpu_burn(system: System, fault: Fault, target: Target) -> None:
    await target.worsen(cpu_factor=system.plan.cost_factor(target.name, fault.param("factor")))


async def _crash_loop(_: System, fault: Fault, target: Target) -> None:
    await target.worsen(crash_every_s=fault.param("every_s"))


async def _traffic_surge(system: System, fault: Fault, target: Target) -> None:
    more = system.plan.extra_rate(target.name, fault.param("factor"))
    # A rush does not follow the rhythm: it must be one at the rhythm's lowest, too.
    stream = Stream(target.spec.host, target.spec.port, HOT_PAGE, more, swing=0.0)
    await system.load.ask("add", stream=msgspec.to_builtins(stream))


async def _load_peak(system: System, _: Fault, __: Target) -> None:
    await system.load.ask("rise", factor=system.plan.peak, ramp_s=PEAK_RAMP_S, hold_s=PEAK_HOLD_S)


async def _errors(system: System, fault: Fault, target: Target) -> None:
    await _deploy(system, target, Build(error_ratio=fault.param("ratio")))


async def _latency(system: System, fault: Fault, target: Target) -> None:
    await _deploy(system, target, Build(add_s=fault.param("add_ms") / 1000))


async def _healthy_deploy(system: System, _: Fault, target: Target) -> None:
    await _deploy(system, target, Build())


async def _deploy(system: System, target: Target, build: Build) -> None:
    before, after = target.release, bumped(target.release)
    await target.deploy(after, build)
    system.publish(change("deploy", target.name, system.now(), before, after, by=DEPLOYED_BY))


async def _pool_exhausted(system: System, fault: Fault, target: Target) -> None:
    flag = target.slow_flag
    one, query_s = system.plan.services[target.name], fault.param("query_ms") / 1000
    target.slow_connections, target.slow_hold_s = slow_reads(one, query_s, system.plan.swing)
    await target.set_flag(flag, enabled=True)
    system.publish(change("flag", target.name, system.now(), "false", "true", name=flag, by=FLAGGED_BY))


async def _cache_poisoned(_: System, fault: Fault, target: Target) -> None:
    await target.spoil("poison", hit_ratio=fault.param("hit_ratio"))


_INJECTORS: dict[str, Callable[[System, Fault, Target], Awaitable[None]]] = {
    "memory_leak": _memory_leak,
    "cpu_burn": _cpu_burn,
    "traffic_surge": _traffic_surge,
    "errors": _errors,
    "latency": _latency,
    "pool_exhausted": _pool_exhausted,
    "cache_poisoned": _cache_poisoned,
    "crash_loop": _crash_loop,
    "deploy": _healthy_deploy,
    "load_peak": _load_peak,
}
