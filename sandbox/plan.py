"""From a scenario to numbers: how often each service is asked, what a request costs there, what is ordinary."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox import overload
from sandbox.budget import Share, cores, fit
from sandbox.kinds import KINDS
from sandbox.scenario import Scenario, Service

POOL_DEMAND, POOL_DEMAND_LOWEST = 1.6, 1.1  # what slow queries ask of the pool, at the middle of the rhythm and at its lowest
HOLD_S = 3.0  # a request asks for a second connection sooner than to keep one longer: the pool must run dry soon, and fill soon again
MISS_WITHOUT_DATABASE_MS = 20.0
MIN_RATE = 0.2  # a service that nobody calls still has numbers


@dataclass(frozen=True, slots=True)
class ServicePlan:
    service: Service
    rate: float  # requests/s when the rhythm is at its middle
    busy: float  # share of capacity that they take
    worker_cpu: float  # cores that one worker may use
    cpu_s: float  # CPU seconds of a request
    ordinary_s: float  # mean time of a request when nothing is wrong

    @property
    def capacity(self) -> float:
        """Return requests/s that its workers can serve."""
        return self.service.workers * self.worker_cpu / self.cpu_s


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: Scenario
    services: dict[str, ServicePlan]
    swing: float  # amplitude of the rhythm
    peak: float  # factor of a harmless rise
    cores: float  # that the system is going to use at most

    def cost_factor(self, name: str, factor: float) -> float:
        return overload.cost_factor(factor, self.services[name].busy, self.swing)

    def extra_rate(self, name: str, factor: float) -> float:
        """Return the requests/s that a surge adds."""
        one = self.services[name]
        return one.rate * overload.extra_load(factor, one.busy, self.swing)


def make(scenario: Scenario) -> Plan:
    """Work out the load of each service from the graph, and from that what a request may cost there."""
    order = callees_first(scenario)
    rates = {name: max(rate, MIN_RATE) for name, rate in asked(scenario).items()}
    shares = fit({name: _share(scenario, name, rates[name]) for name in order})
    plans: dict[str, ServicePlan] = {}
    for name in order:
        service, share = scenario.service(name), shares[name]
        cpu_s = share.busy * share.capacity / share.rate
        calls_s = sum(call.per_request * plans[call.to].ordinary_s for call in service.calls)
        ordinary_s = cpu_s + service.work_ms / 1000 + _reads_s(service) + calls_s
        plans[name] = ServicePlan(service, share.rate, share.busy, share.cap, cpu_s, ordinary_s)
    swing = overload.swing(scenario)
    peak = overload.peak(max(share.busy for share in shares.values()), swing)
    return Plan(scenario, plans, swing, peak, cores(shares))


def _share(scenario: Scenario, name: str, rate: float) -> Share:
    service, busy, swing = scenario.service(name), overload.busy(scenario, name), overload.swing(scenario)
    worst = extra = 0.0
    for fault in scenario.faults:
        if "factor" not in KINDS[fault.kind].params or scenario.guilty(fault) != name:
            continue
        factor = fault.param("factor")
        if fault.kind == "cpu_burn":
            worst = max(worst, busy * overload.cost_factor(factor, busy, swing))
        else:
            more = overload.extra_load(factor, busy, swing)
            worst, extra = max(worst, busy * (1 + more)), max(extra, rate * more)
    fixed = service.worker_cpu is not None or "worker_cpu" in scenario.model_fields_set
    return Share(rate, busy, service.workers, service.worker_cpu or scenario.worker_cpu, fixed, worst, extra)


def miss_ms(service: Service) -> float:
    """Return what a miss of the cache waits for, beside a query."""
    if service.cache is None:
        return 0.0
    if service.cache.miss_ms is not None:
        return service.cache.miss_ms
    return 0.0 if service.database else MISS_WITHOUT_DATABASE_MS


def slow_reads(plan: ServicePlan, query_s: float, swing: float) -> tuple[int, float]:
    """Return how many connections a request takes at once, and how long it keeps them for queries one after the other."""
    pool = plan.service.database.pool if plan.service.database else 1
    wanted_s = max(POOL_DEMAND, POOL_DEMAND_LOWEST / (1 - swing)) * pool / plan.rate
    connections = min(pool, max(1, math.ceil(wanted_s / max(HOLD_S, query_s))))
    queries = max(1, math.ceil(round(wanted_s / (connections * query_s), 6)))
    return connections, queries * query_s


def _reads_s(service: Service) -> float:
    query_s = service.database.query_ms / 1000 if service.database else 0.0
    misses = 1 - service.cache.hit_ratio if service.cache else 1.0
    return misses * (query_s + miss_ms(service) / 1000)


def callees_first(scenario: Scenario) -> list[str]:
    """Return the services so that whom a service calls stands before it."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for call in scenario.service(name).calls:
                visit(call.to)
            order.append(name)

    for service in scenario.services:
        visit(service.name)
    return order


def asked(scenario: Scenario) -> dict[str, float]:
    """Return the requests/s that reach each service when the rhythm is at its middle."""
    entries = scenario.entries()
    rates = {service.name: scenario.load.rps / len(entries) if service.name in entries else 0.0 for service in scenario.services}
    for name in reversed(callees_first(scenario)):
        for call in scenario.service(name).calls:
            rates[call.to] += rates[name] * call.per_request
    return rates
