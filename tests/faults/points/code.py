"""The crash points of the code: every place where a process may die between taking a record in and committing it.

They are read from the source, so a new one cannot be forgotten: each `await`, `async for` and `async with` of the modules on the
path, and in the modules that run in threads each call of a client. A point's name says where it is and survives edits of other
lines: `module:function:what#nth`. A module can be rewritten so that each point calls back before and after.
"""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[3]

AWAITS = "awaits"  # every await of the module
Kind = frozenset[str] | str  # AWAITS, or the names of the calls that reach a client
PATH: dict[str, Kind] = {
    "streams.harness.worker": AWAITS,
    "streams.harness.saver": AWAITS,
    "streams.harness.consumer": AWAITS,
    "streams.harness.effector_runner": AWAITS,
    "streams.harness.producer": AWAITS,
    "streams.harness.view": AWAITS,
    "streams.harness.arming": AWAITS,
    "streams.harness.closing": AWAITS,
    "streams.harness.watchdog": AWAITS,
    "agents.execute.effector": AWAITS,
    "agents.execute.sides": AWAITS,
    "agents.execute.executors.http_control": AWAITS,
    "agents.execute.executors.dry_run": AWAITS,
    "agents.tell": AWAITS,
    "agents.reason.llm.effector": AWAITS,
    "agents.reason.llm.answer": AWAITS,
    "agents.reason.llm.anthropic_explainer": AWAITS,
    "agents.reason.llm.openai_explainer": AWAITS,
    "api.decide": AWAITS,
    # These run in threads: the calls that reach a client.
    "streams.normalise.consumer": frozenset({"consume", "send", "wait", "commit", "list_topics", "subscribe"}),
    "streams.normalise.acks": frozenset({"produce", "poll"}),
    "streams.sink.consumer": frozenset({"consume", "poll", "write", "send", "commit", "migrate", "list_topics"}),
    "streams.sink.batch": frozenset({"insert"}),
    "streams.sink.store.store": frozenset({"insert"}),
    "streams.sink.letters": frozenset({"produce", "flush"}),
}
# What awaits, or speaks to Kafka, and lies beside the path: nothing that was taken in waits there for its commit.
BESIDE = {
    "streams.harness.runner": "starts and stops the parts; what they await are points of their own",
    "streams.harness.lineage": "looks whether a topic is still the same, and ends the process where it is not",
    "streams.harness.kafka": "looks at the log and changes nothing; who waits for the answer has a point there",
    "api.server": "starts and stops the API",
    "api.calls": "HTTP round api.decide, and reading",
    "api.pages": "HTTP round api.decide, and reading",
    "api.limits": "passes bytes of HTTP on",
}
# The last step of the acting path: where the client of the target hands bytes to the socket. The first write of a request is its head.
SOCKET = "httpcore2._backends.anyio"
SOCKET_WRITE = f"{SOCKET}:AnyIOStream.write:self._stream.send"
OUTSIDE: dict[str, Kind] = {SOCKET: AWAITS}  # of libraries: rewritten, and not enumerated

BEFORE, AFTER = "__point_before__", "__point_after__"


@dataclass(frozen=True, slots=True)
class Point:
    module: str
    function: str
    what: str
    nth: int  # of the same text in the function

    @property
    def name(self) -> str:
        return f"{self.module}:{self.function}:{self.what}" + (f"#{self.nth}" if self.nth else "")


def source_of(module: str) -> Path:
    if module in OUTSIDE:
        package, _, name = module.rpartition(".")
        folder = importlib.import_module(package).__file__ or ""
        return Path(folder).parent / f"{name}.py"
    return REPO / f"{module.replace('.', '/')}.py"


def kind_of(module: str) -> Kind:
    return PATH[module] if module in PATH else OUTSIDE[module]


def points(module: str, source: str) -> list[Point]:
    """Return the points of a module's source, in the order of their text."""
    rewriter = Rewriter(module, kind_of(module))
    rewriter.visit(ast.parse(source))
    return rewriter.found


def all_points() -> list[Point]:
    return [point for module in PATH for point in points(module, source_of(module).read_text(encoding="utf-8"))]


def rewritten(module: str, source: str) -> ast.Module:
    """Return the module with a call of BEFORE and of AFTER, each with the point's name, round every point."""
    tree: ast.Module = Rewriter(module, kind_of(module)).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


class Rewriter(ast.NodeTransformer):
    """Finds the points of one module, and wraps each."""

    def __init__(self, module: str, kind: Kind) -> None:
        self._module = module
        self._awaits = kind == AWAITS
        self._calls = frozenset() if isinstance(kind, str) else kind
        self._function: list[str] = []
        self._texts: Counter[tuple[str, str]] = Counter()
        self.found: list[Point] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._within(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._within(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self._wrapped(node, _short(node.value)) if self._awaits else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if self._awaits or called not in self._calls:
            return self.generic_visit(node)
        return self._wrapped(node, _short(node))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST | list[ast.stmt]:
        """Wrap the entry: before it, and at the beginning of its body."""
        name = self._name(f"async with {_short(node.items[0].context_expr)}")
        self.generic_visit(node)
        node.body.insert(0, _statement(AFTER, name))
        return [_statement(BEFORE, name), node]

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST | list[ast.stmt]:
        """Call back before the loop, and as each item arrives."""
        name = self._name(f"async for {_short(node.iter)}")
        self.generic_visit(node)
        node.body.insert(0, _statement(AFTER, name))
        return [_statement(BEFORE, name), node]

    def _within(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._function.append(node.name)
        self.generic_visit(node)
        self._function.pop()
        return node

    def _wrapped(self, node: ast.Await | ast.Call, what: str) -> ast.AST:
        """Return `(before(name), node, after(name))[1]`."""
        name = self._name(what)
        self.generic_visit(node)
        parts: list[ast.expr] = [_call(BEFORE, name), node, _call(AFTER, name)]
        return ast.Subscript(ast.Tuple(parts, ast.Load()), ast.Constant(1), ast.Load())

    def _name(self, what: str) -> str:
        function = ".".join(self._function) or "module"
        nth = self._texts[function, what]
        self._texts[function, what] += 1
        self.found.append(Point(self._module, function, what, nth))
        return self.found[-1].name


def _short(node: ast.expr) -> str:
    """Return what is called, without its arguments: they may change and the point stays the same."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node)


def _call(name: str, point: str) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(point)], [])


def _statement(name: str, point: str) -> ast.stmt:
    return ast.Expr(_call(name, point))
