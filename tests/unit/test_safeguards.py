"""The list of safeguards is that of the code as it is: it cannot rot."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.mutations.every import SAFEGUARDS
from tests.faults.mutations.safeguard import REPO, Safeguard


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_each_safeguard_is_where_the_list_says_and_the_code_without_it_is_code(safeguard: Safeguard) -> None:
    source = (REPO / safeguard.file).read_text(encoding="utf-8")
    without = safeguard.taken_out(source)
    assert without != source
    ast.parse(without)


@functools.cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_test_that_is_to_notice_is_there() -> None:
    named = [test.partition("::") for safeguard in SAFEGUARDS for test in safeguard.bites]
    assert [f"{file}::{name}" for file, _, name in named if name.partition("[")[0] not in functions_of(REPO / file)] == []


def test_names_are_unique_and_every_safeguard_names_a_test() -> None:
    assert [name for name, count in Counter(safeguard.name for safeguard in SAFEGUARDS).items() if count > 1] == []
    assert [safeguard.name for safeguard in SAFEGUARDS if not safeguard.bites] == []
