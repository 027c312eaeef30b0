"""Read the YAML files that people write: each is validated, known by its digest, and a mistake is named with its place."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(Exception):
    """What is wrong, where, and what to do; ends the command with exit code 2."""


def load(model: type[Model], path: Path) -> Model:
    """Read and validate one file; raise ConfigError."""
    return validate(model, read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give the file, or name another with its AIRRA_*_FILE setting") from error
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def validate(model: type[Model], value: Any, where: str) -> Model:
    """Validate a read value; every mistake is one line with its place."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [f"{where}: {problem(model, item)}" for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from error


def problem(model: type[BaseModel], item: Any) -> str:
    """Say one validation error in a sentence: the place, what is wrong, and the nearest right name."""
    place = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(item["loc"][-1]), _names(model), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{place} is not known here{hint}"
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{place}: {item['msg']}{shown}"


def _names(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> set[str]:
    """Every field name of a model and of the models inside it: what a misspelt name is compared with."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(field.alias or name)
        for inner in _models_in(field.annotation):
            if inner not in seen:
                names |= _names(inner, seen | {model})
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)]
