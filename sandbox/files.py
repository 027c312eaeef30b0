"""What the owner of the system would write for whoever watches it: the topology file and the metrics mapping."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from sandbox.names import roles, series
from sandbox.scenario import Role, Scenario, Service

ROLES: dict[Role, dict[str, str]] = {
    "requests": {"kind": "requests", "type": "counter", "unit": "requests", "direction": "none"},
    "errors": {"kind": "errors", "type": "counter", "unit": "errors", "direction": "up"},
    "latency": {"kind": "latency", "type": "histogram", "unit": "seconds", "direction": "up"},
    "cpu": {"kind": "cpu", "type": "counter", "unit": "seconds", "direction": "up"},
    "memory": {"kind": "memory", "type": "gauge", "unit": "bytes", "direction": "up"},
    "pool": {"kind": "pool", "type": "gauge", "unit": "ratio", "direction": "up"},
    "cache": {"kind": "cache", "type": "gauge", "unit": "ratio", "direction": "down"},
}
UP = {"match": "up", "kind": "up", "type": "gauge", "unit": "", "direction": "down"}


def topology(scenario: Scenario) -> dict[str, Any]:
    services = [
        {"name": service.name, "criticality": service.criticality, "workers": service.workers, "release": service.release}
        for service in scenario.services
    ]
    pairs = dict.fromkeys((service.name, call.to) for service in scenario.services for call in service.calls)
    return {"services": services, "calls": [{"from": caller, "to": callee} for caller, callee in pairs]}


def mapping(scenario: Scenario) -> dict[str, Any]:
    """Say what each metric name means; a name that means two things is told apart by the service's label."""
    users: dict[tuple[Role, str], list[Service]] = defaultdict(list)
    meanings: dict[str, set[tuple[Role, str]]] = defaultdict(set)  # name of a sample → the rules that could match it
    for service in scenario.services:
        for role in roles(service):
            rule = role, scenario.metric_name(service, role)
            users[rule].append(service)
            for name in series(scenario, service, role):
                meanings[name].add(rule)
    ambiguous = {rule for rules in meanings.values() if len(rules) > 1 for rule in rules}
    metrics: list[dict[str, Any]] = []
    # The first rule that matches wins: what counts requests stands before the histogram whose count that may be.
    for role, name in sorted(users, key=lambda rule: list(ROLES).index(rule[0])):
        services = users[role, name]
        whose = _told_apart(scenario, services) if (role, name) in ambiguous and len(services) < len(scenario.services) else [{}]
        metrics += [{"match": name, **labels, **ROLES[role]} for labels in whose]
    return {
        "service_labels": list(dict.fromkeys(scenario.label_name(service, "service") for service in scenario.services)),
        "instance_labels": list(dict.fromkeys(scenario.label_name(service, "instance") for service in scenario.services)),
        "metrics": [*metrics, UP],
    }


def _told_apart(scenario: Scenario, services: list[Service]) -> list[dict[str, Any]]:
    """Return what holds of these services' samples only, by the label that names the service."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for service in services:
        by_label[scenario.label_name(service, "service")].append(re.escape(service.name))
    return [{"labels": {label: "|".join(names)}} for label, names in by_label.items()]


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
