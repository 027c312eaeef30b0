"""What the shipped mapping makes of the names that client libraries, OpenTelemetry and Kubernetes use."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from schemas.config.metrics import MetricsMapping
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import SeriesDef
from streams.normalise.fates import Rejected
from streams.normalise.formats.port import Described
from streams.normalise.series import Resolver, Unmapped

REPO = Path(__file__).parents[2]
SHIPPED = Resolver(MetricsMapping.model_validate(yaml.safe_load((REPO / "config" / "metrics.yaml").read_text())))


def resolve(name: str, resolver: Resolver = SHIPPED, **labels: str) -> SeriesDef | Unmapped:
    return resolver.resolve(Described({"__name__": name, "service": "gateway"} | labels))


def meaning(name: str, **labels: str) -> tuple[Kind, MetricType, Direction]:
    found = resolve(name, **labels)
    assert isinstance(found, SeriesDef), f"{name} is not mapped"
    return found.kind, found.type, found.direction


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("up", {}, (Kind.UP, MetricType.GAUGE, Direction.DOWN)),
        ("http_requests_total", {"status": "200"}, (Kind.REQUESTS, MetricType.COUNTER, Direction.NONE)),
        ("http_requests_total", {"status": "503"}, (Kind.ERRORS, MetricType.COUNTER, Direction.UP)),
        ("http_requests_total", {"code": "500"}, (Kind.ERRORS, MetricType.COUNTER, Direction.UP)),
        ("http_requests_total", {"code": "5000"}, (Kind.REQUESTS, MetricType.COUNTER, Direction.NONE)),
        ("http_server_requests_total", {"http_response_status_code": "502"}, (Kind.ERRORS, MetricType.COUNTER, Direction.UP)),
        ("payment_errors_total", {}, (Kind.ERRORS, MetricType.COUNTER, Direction.UP)),
        ("http_request_duration_seconds_bucket", {"le": "0.1"}, (Kind.LATENCY, MetricType.HISTOGRAM, Direction.UP)),
        ("http_server_request_duration_seconds_sum", {}, (Kind.LATENCY, MetricType.HISTOGRAM, Direction.UP)),
        ("http_server_request_duration_seconds_count", {}, (Kind.LATENCY, MetricType.HISTOGRAM, Direction.UP)),
        (
            "http_server_request_duration_seconds_count",
            {"http_response_status_code": "500"},
            (Kind.ERRORS, MetricType.COUNTER, Direction.UP),
        ),
        ("http.server.request.duration_bucket", {"le": "0.1"}, (Kind.LATENCY, MetricType.HISTOGRAM, Direction.UP)),
        ("http_request_duration_seconds", {"quantile": "0.99"}, (Kind.LATENCY, MetricType.GAUGE, Direction.UP)),
        ("process_cpu_seconds_total", {}, (Kind.CPU, MetricType.COUNTER, Direction.UP)),
        ("process_resident_memory_bytes", {}, (Kind.MEMORY, MetricType.GAUGE, Direction.UP)),
        ("db_client_connection_count", {"db.client.connection.state": "idle"}, (Kind.POOL, MetricType.GAUGE, Direction.DOWN)),
        ("db_client_connection_count", {"db_client_connection_state": "used"}, (Kind.POOL, MetricType.GAUGE, Direction.UP)),
        ("catalog_cache_hit_ratio", {}, (Kind.CACHE, MetricType.GAUGE, Direction.DOWN)),
        ("node_load1", {}, (Kind.SATURATION, MetricType.GAUGE, Direction.UP)),
    ],
)
def test_conventional_names_have_their_meaning(name: str, labels: dict[str, str], expected: tuple[Kind, MetricType, Direction]) -> None:
    assert meaning(name, **labels) == expected


@pytest.mark.parametrize("name", ["http_request_duration_seconds", "http_requests_created", "shoe_size", "", "*"])
def test_other_names_are_unmapped(name: str) -> None:
    assert isinstance(resolve(name), Unmapped)


def test_kubernetes_metrics_name_their_container_not_the_exporter() -> None:
    found = resolve("container_memory_working_set_bytes", service="kubelet", container="orders", pod="orders-7f")

    assert isinstance(found, SeriesDef)
    assert (found.service, found.instance) == ("orders", "orders-7f")


def test_an_empty_label_is_an_absent_one() -> None:
    found = resolve("up", service="", service_name="", job="shop")

    assert isinstance(found, SeriesDef)
    assert found.service == "shop"


@pytest.mark.parametrize("name", ["up", "shoe_size"])
def test_a_series_is_the_same_with_an_empty_label_and_without(name: str) -> None:
    assert resolve(name, x="", instance="") == resolve(name)
    assert resolve(name, x="", instance="a:1") == resolve(name, instance="a:1")
    assert resolve(name, **{"k8s.pod": "p", "k8s_pod": ""}) == resolve(name, **{"k8s.pod": "p"})


def test_an_empty_label_hides_no_other_that_is_called_the_same_with_dots() -> None:
    found = resolve("up", service="", **{"service.name": "shop", "service_name": ""})

    assert isinstance(found, SeriesDef)
    assert (found.service, found.labels) == ("shop", {"__name__": "up", "service.name": "shop"})


def test_a_bucket_whose_bound_is_empty_has_none() -> None:
    with pytest.raises(Rejected, match="a bucket without le"):
        resolve("http_request_duration_seconds_bucket", le="")


def test_the_parts_of_one_histogram_share_a_group_and_different_label_sets_do_not() -> None:
    def group(name: str, **labels: str) -> int:
        found = resolve(name, **labels)
        assert isinstance(found, SeriesDef)
        return found.group

    parts = {
        group("http_request_duration_seconds_bucket", le="0.1"),
        group("http_request_duration_seconds_bucket", le="+Inf"),
        group("http_request_duration_seconds_sum"),
        group("http_request_duration_seconds_count"),
    }
    assert len(parts) == 1
    assert group("http_request_duration_seconds_count", path="/a") not in parts


def test_the_first_rule_that_matches_wins() -> None:
    rules = [
        {"match": "requests", "labels": {"tenant": "a|b"}, "kind": "errors", "type": "counter"},
        {"match": "req*", "kind": "requests", "type": "counter"},
        {"match": "requests", "kind": "other"},
    ]
    resolver = Resolver(MetricsMapping.model_validate({"metrics": rules}))

    kinds = [resolve("requests", resolver, **labels) for labels in ({"tenant": "a"}, {"tenant": "abc"}, {})]
    assert [one.kind for one in kinds if isinstance(one, SeriesDef)] == [Kind.ERRORS, Kind.REQUESTS, Kind.REQUESTS]


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"metrics": [{"match": "a", "kind": "latency", "typ": "gauge"}]}, "Extra inputs are not permitted"),
        ({"metrics": [{"match": "a", "kind": "speed"}]}, "Input should be 'requests'"),
        ({"metrics": [{"match": "a", "kind": "errors", "labels": {"code": "5.("}}]}, "is not a regular expression"),
        ({"metrics": [{"match": "a_seconds_bucket", "kind": "latency", "type": "histogram"}]}, "a histogram is named without _bucket"),
        ({"metrics": []}, "at least 1 item"),
        ({}, "Field required"),
    ],
)
def test_a_mistake_in_the_mapping_is_named(mapping: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("'", ".").replace("(", r"\(")):
        MetricsMapping.model_validate(mapping)
