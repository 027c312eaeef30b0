"""Read a scenario file, or say what is wrong with it, where, and what would be right."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sandbox.kinds import KINDS
from sandbox.scenario import Scenario, Service


class ScenarioError(Exception):
    """The file is not a scenario; `problems` has a line for each reason."""

    def __init__(self, path: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.problems = problems


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a field written twice is an error, not the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"field {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Scenario:
    """Read and check a scenario file; raise ScenarioError."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(str(path), [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise ScenarioError(str(path), [f"is not YAML: {' '.join(str(error).split())}"]) from error
    return parse(data, str(path))


def parse(data: object, path: str = "scenario") -> Scenario:
    """Check what a scenario file says; raise ScenarioError."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ScenarioError(path, [f"holds a {type(data).__name__}; a scenario is a mapping with name, load, services, faults"])
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(path, [_explain(detail) for detail in error.errors()]) from error
    problems = list(_contradictions(scenario))
    if problems:
        raise ScenarioError(path, problems)
    return scenario


def _explain(detail: ErrorDetails) -> str:
    where = _place(detail["loc"])
    given = detail["input"]
    if detail["type"] == "extra_forbidden":
        known = _fields_at(detail["loc"][:-1])
        return f"{where}: unknown field{_meant(str(detail['loc'][-1]), known)}; fields here are {', '.join(known)}"
    if detail["type"] == "literal_error":
        expected = str(detail.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"{where}: {given!r} is unknown{_meant(str(given), expected.split(', '))}; one of {expected}"
    if detail["type"] == "missing":
        return f"{where}: is missing"
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{where}.{message}" if message.startswith("params.") else f"{where}: {message}"
    shown = repr(given) if len(repr(given)) < 60 else type(given).__name__
    return f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]}, not {shown}"


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if part == "[key]":
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "file"


def _meant(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Scenario
    for part in loc:
        if isinstance(part, int) or not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            continue
        model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in typing.get_args(annotation) if (found := _model_in(inner))), None)


def _contradictions(scenario: Scenario) -> Iterator[str]:
    names = [service.name for service in scenario.services]
    for i, service in enumerate(scenario.services):
        where = f"services[{i}]"
        if service.name in names[:i]:
            yield f"{where}.name: {service.name!r} is there twice"
        for j, call in enumerate(service.calls):
            if call.to not in names:
                yield f"{where}.calls[{j}].to: no service {call.to!r}{_meant(call.to, names)}; services are {', '.join(names)}"
        yield from _clashing_names(scenario, service, where)
    circle = _circle(scenario)
    if circle:
        yield f"services: calls go in a circle ({' → '.join(circle)}), so a request would never end"
    elif not scenario.entries():
        yield "services: none is an entry; mark one with entry: true"
    yield from _fault_contradictions(scenario, names)


def _clashing_names(scenario: Scenario, service: Service, where: str) -> Iterator[str]:
    roles = ("requests", "errors", "latency", "cpu", "memory", "pool", "cache")
    used: dict[str, str] = {}
    for role in roles:
        name = scenario.metric_name(service, typing.cast("Any", role))
        if name in used:
            yield f"{where}.metric_names.{role}: {name!r} already names its {used[name]}"
        used[name] = role
        if name == "up":
            yield f"{where}.metric_names.{role}: 'up' is the scraper's own"
    for part in ("service", "instance"):
        if scenario.label_name(service, typing.cast("Any", part)) == "le":
            yield f"{where}.labels.{part}: 'le' is the label of a histogram's buckets"
    if scenario.label_name(service, "service") == scenario.label_name(service, "instance"):
        yield f"{where}.labels: service and instance have the same label {scenario.label_name(service, 'service')!r}"


def _fault_contradictions(scenario: Scenario, names: list[str]) -> Iterator[str]:
    labels = [fault.label for fault in scenario.faults]
    for i, fault in enumerate(scenario.faults):
        where = f"faults[{i}]"
        if fault.label in labels[:i]:
            yield f"{where}.name: {fault.label!r} is there twice"
        if fault.label == "none":
            yield f"{where}.name: 'none' stands for a run without a fault"
        if fault.service and fault.service not in names:
            yield f"{where}.service: no service {fault.service!r}{_meant(fault.service, names)}; services are {', '.join(names)}"
            continue
        needs = KINDS[fault.kind].needs
        guilty = scenario.guilty(fault)
        if needs and (not guilty or getattr(scenario.service(guilty), needs) is None):
            able = [service.name for service in scenario.services if getattr(service, needs) is not None]
            there = f"those are {', '.join(able)}" if able else "none has one"
            yield f"{where}.service: {fault.kind} needs a service with a {needs}; {there}"


def _circle(scenario: Scenario) -> list[str]:
    calls = {service.name: [call.to for call in service.calls] for service in scenario.services}
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in calls:
            return []
        for callee in calls[name]:
            found = visit(callee, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in calls if (found := visit(name, []))), [])
