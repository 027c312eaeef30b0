"""The numbers of a scenario: four times the load never fits, ordinary load and a peak always do."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox import files
from sandbox.check import load, parse
from sandbox.plan import callees_first, make, slow_queries
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


@given(
    rps=st.floats(5, 200),
    workers=st.integers(1, 12),
    cap=st.floats(0.01, 0.1),
    amplitude=st.floats(0, 0.4),
)
def test_four_times_the_load_never_fits_and_a_peak_always_does(rps: float, workers: int, cap: float, amplitude: float) -> None:
    data = {"load": {"rps": rps, "amplitude": amplitude}, "services": [{"name": "a", "workers": workers, "worker_cpu": cap}]}
    plan = make(parse(data))
    one = plan.services["a"]
    lowest, highest = one.rate * (1 - amplitude), one.rate * (1 + amplitude)
    assert 4 * lowest > 1.1 * one.capacity
    assert highest < 0.75 * one.capacity
    assert highest * plan.peak < 0.87 * one.capacity
    assert plan.peak > 1.1
    assert one.rate * one.cpu_s < workers * cap / 2  # the CPU that ordinary load really uses


@given(rps=st.floats(1, 200), pool=st.integers(1, 16))
def test_the_slow_query_runs_a_pool_dry_whatever_the_load(rps: float, pool: int) -> None:
    one = make(parse({"load": {"rps": rps}, "services": [{"name": "a", "database": {"pool": pool}}]})).services["a"]
    queries = slow_queries(one, 0.4)
    assert one.rate * queries * 0.4 >= 1.5 * pool or queries == 20


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
