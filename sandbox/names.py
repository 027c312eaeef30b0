"""The names and labels under which a system is measured: what is exposed, and which of them could not be told apart."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.scenario import METRIC_NAMES, LabelRole, Role, Scenario, Service

BUCKET, COUNT, SUM = PARTS = ("_bucket", "_count", "_sum")
LABEL_ROLES: tuple[LabelRole, ...] = ("service", "instance")


def roles(service: Service) -> list[Role]:
    """Return what a service measures."""
    missing = {"pool"} if service.database is None else set()
    missing |= {"cache"} if service.cache is None else set()
    return [role for role in METRIC_NAMES if role not in missing]


def series(scenario: Scenario, service: Service, role: Role) -> list[str]:
    """Return the names of the samples in which a service exposes something."""
    name = scenario.metric_name(service, role)
    return [name + part for part in PARTS] if role == "latency" else [name]


def clashes(scenario: Scenario) -> Iterator[str]:
    for i, service in enumerate(scenario.services):
        yield from _names(scenario, service, f"services[{i}].metric_names")
        yield from _labels(scenario, service, f"services[{i}].labels")
    yield from _swapped_labels(scenario)


def _names(scenario: Scenario, service: Service, where: str) -> Iterator[str]:
    latency = scenario.metric_name(service, "latency")
    if latency.endswith(PARTS):
        yield f"{where}.latency: {latency!r} has the ending of a histogram's parts; name the histogram without {', '.join(PARTS)}"
    used: dict[str, str] = {}
    for role in METRIC_NAMES:  # of what is not measured, too: nobody wants to find out when a cache comes
        name = scenario.metric_name(service, role)
        if name == "up":
            yield f"{where}.{role}: 'up' is the scraper's own"
        if role == "latency" and used.get(name + COUNT) == "requests":
            del used[name + COUNT]
        for one in {name, *series(scenario, service, role)}:
            if one in used:
                yield f"{where}.{role}: {one!r} already names its {used[one]}"
            used[one] = role


def _labels(scenario: Scenario, service: Service, where: str) -> Iterator[str]:
    for role in LABEL_ROLES:
        label = scenario.label_name(service, role)
        if label == "le":
            yield f"{where}.{role}: 'le' is the label of a histogram's buckets"
    if scenario.label_name(service, "service") == scenario.label_name(service, "instance"):
        yield f"{where}: service and instance have the same label {scenario.label_name(service, 'service')!r}"


def _swapped_labels(scenario: Scenario) -> Iterator[str]:
    """Refuse a label that names a service here and an instance there: a mapping knows labels, not who wrote them."""
    services = {scenario.label_name(service, "service"): service.name for service in scenario.services}
    for i, service in enumerate(scenario.services):
        label = scenario.label_name(service, "instance")
        if services.get(label, service.name) != service.name:
            yield f"services[{i}].labels.instance: {label!r} is the label of the service at {services[label]!r}"
