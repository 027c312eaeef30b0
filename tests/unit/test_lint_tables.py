"""No product code writes a Faust table with `table[key] = value`: that does not wait for the broker."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent.parent
PRODUCT = ("schemas", "models", "streams", "agents", "api", "cli", "sandbox")


def _tables(tree: ast.AST) -> set[str]:
    """Return the names that are bound to a table anywhere in the file: `x = app.Table(...)`, `self.x, y = app.GlobalTable(...)`."""
    names = {"table", "_table"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Attribute) and called.attr in ("Table", "GlobalTable", "SetTable", "SetGlobalTable"):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {_name(target) for target in targets}
    return names - {""}


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def table_writes(source: str) -> list[int]:
    """Return the lines that write or delete an item of a table, or change it by a method that does."""
    tree = ast.parse(source)
    tables = _tables(tree)
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del) and _name(node.value) in tables:
            lines.append(node.lineno)
        method = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
        if method is not None and _name(method.value) in tables and method.attr in ("update", "setdefault", "pop", "popitem", "clear"):
            lines.append(method.lineno)
    return sorted(lines)


@pytest.mark.parametrize(
    "bad",
    [
        "table[k] = v",
        "self.table[k] = v",
        "self._table[k] += 1",
        "del table[k]",
        "seen = app.Table('seen', default=int)\nseen[k] = 1",
        "self.counts = app.GlobalTable('counts')\nself.counts[k] += 1",
        "for table[k] in rows: pass",
        "table.update({k: v})",
        "table.pop(k)",
    ],
)
def test_the_lint_catches(bad: str) -> None:
    assert table_writes(bad)


def test_the_lint_lets_pass_what_waits_and_what_is_no_table() -> None:
    good = "await table.send_changelog(0, k, v)\ntable.data.update(rows)\nstate[k] = v\ncounts = {}\ncounts[k] = 1\nvalue = table[k]"
    assert table_writes(good) == []


def test_the_product_writes_no_table_item() -> None:
    files = [path for folder in PRODUCT for path in (REPO / folder).rglob("*.py") if "faust" in path.read_text()]
    assert files, "the harness imports Faust: the lint must see it"
    assert {str(path.relative_to(REPO)): lines for path in files if (lines := table_writes(path.read_text()))} == {}
