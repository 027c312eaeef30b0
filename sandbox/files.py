"""What the owner of the system would write for whoever watches it: the topology file and the metrics mapping."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from sandbox.scenario import Role, Scenario

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
    users: dict[str, dict[Role, list[str]]] = defaultdict(lambda: defaultdict(list))
    for service in scenario.services:
        for role in ROLES:
            if (role == "pool" and service.database is None) or (role == "cache" and service.cache is None):
                continue
            users[scenario.metric_name(service, role)][role].append(service.name)
    rules: list[dict[str, Any]] = []
    for name, by_role in users.items():
        for role, services in by_role.items():
            if len(by_role) == 1:
                rules.append({"match": name, **ROLES[role]})
                continue
            by_label: dict[str, list[str]] = defaultdict(list)
            for service_name in services:
                by_label[scenario.label_name(scenario.service(service_name), "service")].append(re.escape(service_name))
            rules += [{"match": name, "labels": {label: "|".join(names)}, **ROLES[role]} for label, names in by_label.items()]
    return {
        "service_labels": list(dict.fromkeys(scenario.label_name(service, "service") for service in scenario.services)),
        "instance_labels": list(dict.fromkeys(scenario.label_name(service, "instance") for service in scenario.services)),
        "metrics": [*rules, UP],
    }


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
