"""Read the YAML files that people write: each is validated, known by its digest, and a mistake is named with its place."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 50  # of nesting: no file of ours comes near, and the parser would die of a thousand
# What the constructors of explicit tags raise for a value that does not fit (!!int x, !!timestamp x, 2026-13-45).
_UNFIT = (ValueError, OverflowError, KeyError, IndexError, AttributeError, TypeError)


class ConfigError(Exception):
    """What is wrong, where, and what to do; ends the command with exit code 2."""


def load(model: type[Model], path: Path) -> Model:
    """Read and validate one file; raise ConfigError."""
    return validate(model, read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    """Read one file as it stands; raise ConfigError with file and line for what is unreadable, or says one thing twice."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give the file, or name another with its AIRRA_*_FILE setting") from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from error
    try:
        return yaml.load(text, _Loader) or {}  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{path}: {where}not YAML: {said}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}: line {line}: not YAML: {error.reason}") from error
    except _UnfitError as error:
        raise ConfigError(f"{path}: {error}") from error


class _UnfitError(Exception):
    def __init__(self, what: str, mark: yaml.Mark) -> None:
        super().__init__(f"line {mark.line + 1}: {what}")


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key given twice (the last would win silently) and nesting without end."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.depth >= MAX_DEPTH:
            raise _UnfitError(f"nested more than {MAX_DEPTH} deep", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise _UnfitError(f"{key.value} is given twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except _UNFIT as error:
            raise _UnfitError(f"a value that is none of its type: {error}", node.start_mark) from error


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
