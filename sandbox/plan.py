"""From a scenario to numbers: how often each service is asked, what a request costs there, what is ordinary."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.scenario import Scenario, Service

SURGE = 4.0  # the contract's factor: so much more must not fit, at the rhythm's lowest either
SATURATES = 1.18  # of capacity, at the lowest, with that factor
LEAST_BUSY, MOST_BUSY = 0.38, 0.50  # of capacity, on average
PEAK = 1.6
PEAK_BUSY = 0.85  # a peak stays below this share of capacity when the rhythm is at its highest
POOL_DEMAND = 1.6  # what the slow query asks of the pool
MISS_WITHOUT_DATABASE_MS = 20.0
MIN_RATE = 0.2  # a service that nobody calls still has numbers


@dataclass(frozen=True, slots=True)
class ServicePlan:
    service: Service
    rate: float  # requests/s when the rhythm is at its middle
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
    peak: float  # factor of a harmless rise


def make(scenario: Scenario) -> Plan:
    """Work out the load of each service from the graph, and from that what a request may cost there."""
    busy = utilisation(scenario.load.amplitude)
    order = callees_first(scenario)
    rates = _rates(scenario, order)
    plans: dict[str, ServicePlan] = {}
    for name in order:
        service = scenario.service(name)
        cap = service.worker_cpu or scenario.worker_cpu
        cpu_s = busy * service.workers * cap / rates[name]
        calls_s = sum(call.per_request * plans[call.to].ordinary_s for call in service.calls)
        plans[name] = ServicePlan(service, rates[name], cap, cpu_s, cpu_s + service.work_ms / 1000 + _reads_s(service) + calls_s)
    return Plan(scenario, plans, min(PEAK, PEAK_BUSY / (busy * (1 + scenario.load.amplitude))))


def utilisation(amplitude: float) -> float:
    """Return the share of capacity that ordinary load takes: four times as much must not fit, a peak must."""
    return min(MOST_BUSY, max(LEAST_BUSY, SATURATES / (SURGE * (1 - amplitude))))


def miss_ms(service: Service) -> float:
    """Return what a miss of the cache waits for, beside a query."""
    if service.cache is None:
        return 0.0
    if service.cache.miss_ms is not None:
        return service.cache.miss_ms
    return 0.0 if service.database else MISS_WITHOUT_DATABASE_MS


def slow_queries(plan: ServicePlan, query_s: float) -> int:
    """Return how many slow queries a request makes so that the pool runs dry whatever the load is."""
    pool = plan.service.database.pool if plan.service.database else 1
    return min(20, max(1, math.ceil(POOL_DEMAND * pool / (plan.rate * query_s))))


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


def _rates(scenario: Scenario, order: list[str]) -> dict[str, float]:
    entries = scenario.entries()
    rates = {service.name: scenario.load.rps / len(entries) if service.name in entries else 0.0 for service in scenario.services}
    for name in reversed(order):
        for call in scenario.service(name).calls:
            rates[call.to] += rates[name] * call.per_request
    return {name: max(rate, MIN_RATE) for name, rate in rates.items()}
