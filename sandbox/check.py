"""Read a scenario file, or say what is wrong with it, where, and what would be right."""

from __future__ import annotations

import typing
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sandbox.contradictions import contradictions, meant
from sandbox.scenario import Scenario


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
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a field's name is plain text", key.start_mark)
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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two: a day that no calendar has, lists without end
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
    problems = list(contradictions(scenario))
    if problems:
        raise ScenarioError(path, problems)
    return scenario


def _explain(detail: ErrorDetails) -> str:
    where = _place(detail["loc"])
    given = detail["input"]
    if detail["type"] == "extra_forbidden":
        known = _fields_at(detail["loc"][:-1])
        return f"{where}: unknown field{meant(str(detail['loc'][-1]), known)}; fields here are {', '.join(known)}"
    if detail["type"] == "literal_error":
        expected = str(detail.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"{where}: {given!r} is unknown{meant(str(given), expected.split(', '))}; one of {expected}"
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
