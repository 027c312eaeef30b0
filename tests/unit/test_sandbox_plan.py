"""The numbers of a scenario: an overload never fits and its cure always does, and so do ordinary load, a peak and the whole."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox import files
from sandbox.budget import LIMIT
from sandbox.check import load, parse
from sandbox.notes import notes
from sandbox.overload import OVERLOAD
from sandbox.plan import Plan, callees_first, make, slow_reads
from schemas.config.metrics import MetricsMapping

SHOP, CLINIC = (Path(__file__).resolve().parents[2] / "sandbox" / "scenarios" / name for name in ("shop.yaml", "clinic.yaml"))

CHAIN = {
    "load": {"rps": 50},
    "services": [
        {"name": "front", "entry": True, "calls": [{"to": "middle", "per_request": 0.4}]},
        {"name": "back", "database": {"pool": 8}},
        {"name": "middle", "calls": [{"to": "back", "per_request": 2.0}]},
    ],
}


def test_the_load_of_each_service_follows_the_graph() -> None:
    plan = make(parse(CHAIN))
    assert {name: one.rate for name, one in plan.services.items()} == {"front": 50, "middle": 20, "back": 40}
    assert callees_first(plan.scenario) == ["back", "middle", "front"]


def loaded(amplitude: float, *faults: tuple[str, float], rps: float = 40, **service: object) -> Plan:
    """Plan one service with overloads of these kinds and factors."""
    named = [{"name": f"{kind}{i}", "kind": kind, "params": {"factor": factor}} for i, (kind, factor) in enumerate(faults)]
    return make(parse({"load": {"rps": rps, "amplitude": amplitude}, "services": [{"name": "a", **service}], "faults": named}))


FACTORS = st.floats(1.1, 8)


@given(amplitude=st.floats(0, 0.8), rps=st.floats(1, 50), workers=st.integers(1, 64), least=FACTORS, most=FACTORS)
def test_a_burn_and_a_surge_overload_at_every_moment_and_four_times_the_workers_drain_them(
    amplitude: float, rps: float, workers: int, least: float, most: float
) -> None:
    wanted = [(kind, factor) for kind in ("cpu_burn", "traffic_surge") for factor in (least, most)]
    plan = loaded(amplitude, *wanted, rps=rps, workers=workers)
    one = plan.services["a"]
    low, high = 1 - plan.swing, 1 + plan.swing
    for factor in (least, most):
        cost = plan.cost_factor("a", factor)
        assert cost >= factor
        assert one.rate * low * cost >= 1.15 * one.capacity
        assert one.rate * high * cost <= 0.9 * 4 * one.capacity
        surge = plan.extra_rate("a", factor)
        assert surge >= (factor - 1) * one.rate
        assert one.rate * low + surge >= 1.15 * one.capacity
        assert one.rate * high + surge <= 0.9 * 4 * one.capacity


@given(amplitude=st.floats(0, 0.8), factor=st.floats(1.1, 8), kind=st.sampled_from(["cpu_burn", "traffic_surge"]))
def test_ordinary_load_and_a_peak_always_fit(amplitude: float, factor: float, kind: str) -> None:
    plan = loaded(amplitude, (kind, factor))
    one = plan.services["a"]
    highest = one.rate * (1 + plan.swing)
    assert highest < 0.76 * one.capacity
    assert plan.peak > 1.1
    assert highest * plan.peak < 0.86 * one.capacity
    assert one.rate * one.cpu_s < one.service.workers * one.worker_cpu / 2  # the CPU that ordinary load really uses


@pytest.mark.parametrize("factor", [2.0, 3.0, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("amplitude", [0.0, 0.3, 0.5])
def test_the_factor_of_a_file_is_used_as_it_is_unless_so_much_would_fit(amplitude: float, factor: float) -> None:
    plan = loaded(amplitude, ("cpu_burn", factor))
    used = plan.cost_factor("a", factor)
    assert used == pytest.approx(factor) or used * plan.services["a"].busy * (1 - plan.swing) == pytest.approx(OVERLOAD)


def sharing(services: int, workers: int, **more: object) -> dict[str, object]:
    """Return a system in which the first calls all others."""
    names = [f"s{i}" for i in range(services)]
    calls = [{"to": name, "per_request": 0.2} for name in names[1:]]
    listed = [{"name": name, "workers": workers, "calls": calls if name == "s0" else []} for name in names]
    faults = [{"kind": "cpu_burn", "service": "s1"}, {"kind": "traffic_surge"}]
    return {"services": listed, "faults": faults, "load": {"rps": 40}, **more}


@pytest.mark.parametrize(("services", "workers"), [(5, 2), (12, 4), (20, 4), (40, 2), (5, 64)])
def test_any_system_is_planned_for_less_than_the_contracts_cores(services: int, workers: int) -> None:
    plan = make(parse(sharing(services, workers)))
    assert plan.cores < LIMIT
    one = plan.services["s1"]
    # What made it fit has not made the fault fit.
    assert one.rate * (1 - plan.swing) * plan.cost_factor("s1", 4) > 1.15 * one.capacity


def test_a_cap_that_the_file_gives_is_kept_and_other_services_work_less() -> None:
    plan = make(parse(sharing(12, 2, worker_cpu=0.03)))
    assert {one.worker_cpu for one in plan.services.values()} == {0.03}
    assert plan.cores < LIMIT
    assert plan.services["s5"].busy < plan.services["s1"].busy


def test_the_shop_and_the_clinic_are_planned_as_they_are_written() -> None:
    for path in (SHOP, CLINIC):
        assert notes(make(load(path))) == []


@given(
    rps=st.floats(1, 200),
    pool=st.integers(1, 64),
    query_ms=st.floats(10, 10_000),
    amplitude=st.floats(0, 0.8),
)
def test_slow_queries_run_a_pool_dry_whatever_the_load(rps: float, pool: int, query_ms: float, amplitude: float) -> None:
    data = {"load": {"rps": rps, "amplitude": amplitude}, "services": [{"name": "a", "database": {"pool": pool}}]}
    plan = make(parse(data))
    one = plan.services["a"]
    connections, hold_s = slow_reads(one, query_ms / 1000, plan.swing)
    asked_for = one.rate * connections * hold_s
    assert asked_for >= 1.55 * pool
    assert asked_for * (1 - plan.swing) >= 1.05 * pool
    assert 1 <= connections <= pool
    assert hold_s <= max(2 * query_ms / 1000, 6.0)  # so long it takes at most until the flag's end shows


def test_slow_queries_are_no_more_than_it_takes() -> None:
    one = make(load(SHOP)).services["inventory"]
    assert slow_reads(one, 0.4, 0.3) == (1, pytest.approx(0.4))


def test_ordinary_latency_counts_what_is_called_and_what_misses() -> None:
    data = {
        "services": [
            {"name": "a", "work_ms": 10, "calls": [{"to": "b", "per_request": 2.0}]},
            {"name": "b", "work_ms": 5, "database": {"query_ms": 100}, "cache": {"hit_ratio": 0.9}},
        ]
    }
    plan = make(parse(data)).services
    assert plan["b"].ordinary_s - plan["b"].cpu_s == pytest.approx(0.015)
    assert plan["a"].ordinary_s - plan["a"].cpu_s == pytest.approx(0.010 + 2 * plan["b"].ordinary_s)


def test_the_topology_file_is_what_a_customer_would_write() -> None:
    topology = files.topology(load(SHOP))
    assert {"name": "inventory", "criticality": "medium", "workers": 2, "release": "3.1.0"} in topology["services"]
    assert {"from": "orders", "to": "payments"} in topology["calls"]
    assert len(topology["calls"]) == 4


@pytest.mark.parametrize("path", [SHOP, CLINIC], ids=["shop", "clinic"])
def test_the_mapping_covers_every_name_and_no_fault(path: Path) -> None:
    scenario = load(path)
    mapping = MetricsMapping.model_validate(files.mapping(scenario))
    matched = {rule.match for rule in mapping.metrics}
    for service in scenario.services:
        assert scenario.metric_name(service, "latency") in matched
        assert scenario.label_name(service, "service") in mapping.service_labels
    assert "up" in matched
    text = yaml.safe_dump([files.mapping(scenario), files.topology(scenario)])
    assert not [fault.label for fault in scenario.faults if f"name: {fault.label}\n" in text or "expected" in text]


def test_a_name_that_means_two_things_is_told_apart_by_its_service() -> None:
    services = [{"name": "a"}, {"name": "b", "metric_names": {"errors": "http_requests_total", "requests": "hits"}}]
    rules = files.mapping(parse({"services": services}))["metrics"]
    assert [(rule["kind"], rule["labels"]) for rule in rules if rule["match"] == "http_requests_total"] == [
        ("requests", {"service": "a"}),
        ("errors", {"service": "b"}),
    ]
