"""Find what bounds a table, a cache or a queue in the product's code: constants by their name or their use, and fields of the settings.

A constant is a bound where its name says so, or where it is held against a length, cuts a list from its end, or is handed to a `cap`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CODE, CONFIG = ("models", "streams", "agents", "api"), "schemas/config"
SAYS_SO = re.compile(r"(^|_)(MAX|KEPT|CAPACITY|MARKS|PENDING|LIMIT)(_|$)|^BATCH_RECORDS$")
NO_COUNT = re.compile(r"_(S|MS|CHARS)$")  # of time, or of one text
FIELD = re.compile(r"^(max_[a-z]+(_per_[a-z]+)?|capacity)$")
BOUNDING = re.compile(r"^(limit|cap|capacity|max_[a-z]+|batch_records)$")  # a parameter whose default is a bound


def found(repo: Path) -> set[str]:
    """Return every bound as `file: NAME`."""
    trees = {path.relative_to(repo).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in _files(repo)}
    used = {name for tree in trees.values() for node in ast.walk(tree) for name in _used(node)}
    constants = {f"{file}: {name}" for file, tree in trees.items() for name in _constants(tree) if _is_bound(name, used)}
    return constants | {f"{file}: {name}" for file, tree in trees.items() for name in _fields(tree)}


def _files(repo: Path) -> list[Path]:
    return [path for folder in (*CODE, CONFIG) for path in sorted((repo / folder).rglob("*.py"))]


def _is_bound(name: str, used: set[str]) -> bool:
    return (name in used or bool(SAYS_SO.search(name))) and not NO_COUNT.search(name)


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_number(node.value):
            yield node.targets[0].id


def _fields(tree: ast.Module) -> Iterator[str]:
    """Yield the fields of models and dataclasses that bound something: `max_series`, `capacity`."""
    for of in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        for node in of.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and FIELD.match(node.target.id):
                yield node.target.id


def _is_number(node: ast.expr) -> bool:
    return all(isinstance(part, ast.Constant | ast.BinOp | ast.operator) for part in ast.walk(node)) and "'" not in ast.unparse(node)


def _used(node: ast.AST) -> Iterator[str]:
    """Yield the names that bound something at this place."""
    match node:
        case ast.Compare(left=left, comparators=[right]):
            if _is_length(left) or _is_length(right):
                yield from _names(left, right)
        case ast.Call(func=ast.Name(id="cap"), args=args):
            yield from _names(*args)
        case ast.keyword(arg="maxlen", value=value):
            yield from _names(value)
        case ast.Slice(lower=ast.UnaryOp(op=ast.USub(), operand=least)) | ast.Slice(upper=ast.UnaryOp(op=ast.USub(), operand=least)):
            yield from _names(least)
        case ast.Call(func=ast.Name(id="lru_cache"), args=args):
            yield from _names(*args)
        case ast.arguments(args=args, defaults=defaults):
            yield from _names(*(value for of, value in zip(args[::-1], defaults[::-1], strict=False) if BOUNDING.match(of.arg)))


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _names(*nodes: ast.expr) -> Iterator[str]:
    return (node.id for node in nodes if isinstance(node, ast.Name) and node.id.isupper())
