"""Names and labels that an owner chose: what the check accepts is exposed, read and mapped as what it is, and nothing else."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox import files
from sandbox.check import ScenarioError, parse
from sandbox.names import roles, series
from sandbox.scenario import LABEL_NAMES, METRIC_NAMES, Scenario, Service
from sandbox.scrape import Sample, ScrapeTarget, message
from sandbox.scrape import parse as exposition
from sandbox.service.metrics import Metrics
from schemas.config.metrics import MetricsMapping
from schemas.samples import SeriesDef
from streams.normalise.formats.port import Described
from streams.normalise.series import Resolver

SPRING = {"requests": "http_server_requests_seconds_count", "latency": "http_server_requests_seconds"}
STEMS = ["x", "y", "http_server_requests_seconds", "a:b"]
NAMES = st.sampled_from([stem + end for stem in STEMS for end in ("", "_total", "_count", "_sum", "_bucket", "_created", "_info")])
LABELS = st.sampled_from(["service", "app", "pod", "instance", "job"])
SERVICE = st.fixed_dictionaries(
    {},
    optional={
        "metric_names": st.dictionaries(st.sampled_from(list(METRIC_NAMES)), NAMES, max_size=4),
        "labels": st.dictionaries(st.sampled_from(list(LABEL_NAMES)), LABELS),
        "database": st.just({}),
        "cache": st.just({}),
    },
)


def problems(*services: dict[str, Any], **more: object) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse({"services": [{"name": f"s{i}", **service} for i, service in enumerate(services)], **more})
    return caught.value.problems


def scraped(scenario: Scenario, service: Service) -> list[Sample]:
    """Return what the scraper reads from a service that has had one request."""
    labels = {scenario.label_name(service, "service"): service.name, scenario.label_name(service, "instance"): f"10.0.0.1:{service.name}"}
    names = {role: scenario.metric_name(service, role) for role in METRIC_NAMES}
    gauges = {role: (lambda: 0.5) for role in ("pool", "cache") if role in roles(service)}
    metrics = Metrics(names, labels, gauges)
    metrics.served(0.02, failed=False)
    target = ScrapeTarget(service.name, "127.0.0.1", 1, labels, names)
    return [*exposition(target, metrics.text().decode()), Sample("up", labels, 1.0)]


def assert_mapped(scenario: Scenario) -> None:
    mapping = MetricsMapping.model_validate(yaml.safe_load(yaml.safe_dump(files.mapping(scenario))))
    resolver = Resolver(mapping)
    for service in scenario.services:
        kinds = {name: role for role in reversed(roles(service)) for name in series(scenario, service, role)} | {"up": "up"}
        samples = scraped(scenario, service)
        assert len({json.dumps(message(sample, 0)["labels"], sort_keys=True) for sample in samples}) == len(samples), "a series twice"
        assert {sample.name for sample in samples} == set(kinds)
        for sample in samples:
            found = resolver.resolve(Described({"__name__": sample.name, **sample.labels}))
            assert isinstance(found, SeriesDef), f"{sample.name} of {service.name} is not mapped"
            assert (found.service, found.kind) == (service.name, kinds[sample.name]), sample.name
            assert found.instance == f"10.0.0.1:{service.name}"


@given(
    services=st.lists(SERVICE, min_size=1, max_size=3), everywhere=st.dictionaries(st.sampled_from(list(METRIC_NAMES)), NAMES, max_size=2)
)
def test_whatever_the_check_accepts_is_mapped_as_what_it_is(services: list[dict[str, Any]], everywhere: dict[str, str]) -> None:
    try:
        scenario = parse({"services": services, "metric_names": everywhere})
    except ScenarioError:
        assume(False)
    assert_mapped(scenario)


@pytest.mark.parametrize(
    "services",
    [
        [{"metric_names": SPRING}],
        [{"metric_names": SPRING}, {}],
        [{"metric_names": {"latency": "x"}}, {"metric_names": {"memory": "x_sum"}}],
        [{"metric_names": {"memory": "x_sum"}}, {"metric_names": {"latency": "x"}}],
        [{"metric_names": {"errors": "http_requests_total", "requests": "hits"}}, {}],
        [{"labels": {"service": "app", "instance": "pod"}}, {}],
        [{"name": "a.b", "metric_names": {"errors": "n", "cpu": "m"}}, {"name": "acb", "metric_names": {"cpu": "n", "errors": "m"}}],
    ],
)
def test_names_that_only_seem_to_clash_are_told_apart(services: list[dict[str, Any]]) -> None:
    assert_mapped(parse({"services": services}))


@pytest.mark.parametrize(
    ("services", "told"),
    [
        (
            [{"metric_names": {"latency": "request_time_count"}}],
            "metric_names.latency: 'request_time_count' has the ending of a histogram's parts",
        ),
        ([{"metric_names": {"latency": "x", "memory": "x_sum"}}], "'x_sum' already names its latency"),
        ([{"metric_names": {"latency": "x", "errors": "x_count"}}], "metric_names.latency: 'x_count' already names its errors"),
        ([{"metric_names": {"latency": "x", "requests": "x_count", "errors": "x_count"}}], "'x_count' already names its requests"),
        ([{"metric_names": {"latency": "x", "cpu": "x"}}], "'x' already names its latency"),
        (
            [{"labels": {"service": "service", "instance": "pod"}}, {"labels": {"service": "app", "instance": "service"}}],
            "services[1].labels.instance: 'service' is the label of the service at 's0'",
        ),
        (
            [{"labels": {"service": "app", "instance": "service"}}, {}],
            "services[0].labels.instance: 'service' is the label of the service at 's1'",
        ),
        ([{"labels": {"instance": "le"}}], "services[0].labels.instance: 'le' is the label of a histogram's buckets"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(services: list[dict[str, Any]], told: str) -> None:
    assert any(told in problem for problem in problems(*services)), problems(*services)
