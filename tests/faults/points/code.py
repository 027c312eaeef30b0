"""The crash points of the code: every place where a process may die between taking a record in and committing it.

They are read from the source, so a new one cannot be forgotten: each `await`, each `async for` (of a comprehension too) and each item
of an `async with` of the modules on the path, and in the modules that run in threads each call of a client. A point's name says where
it is and survives edits of other lines: `module:function:what#nth`. It does not say what comes before it: that is kept beside the names
(order.txt, proven.py). A module can be rewritten so that each point calls back before and after.

The end of an `async with` is no point: locks and time-outs await nothing there, and the others close a connection whose answer is read.
"""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[3]

AWAITS = "awaits"  # every await of the module
Kind = frozenset[str] | str  # AWAITS, or the names of the calls that reach a client
PATH: dict[str, Kind] = {
    "streams.harness.worker": AWAITS,
    "streams.harness.saver": AWAITS,
    "streams.harness.consumer": AWAITS,
    "streams.harness.recovery": AWAITS,
    "streams.harness.effector_runner": AWAITS,
    "streams.harness.beginning": AWAITS,
    "streams.harness.producer": AWAITS,
    "streams.harness.view": AWAITS,
    "streams.harness.arming": AWAITS,
    "streams.harness.closing": AWAITS,
    "streams.harness.watchdog": AWAITS,
    "streams.harness.outbox": AWAITS,
    "streams.harness.standby": AWAITS,
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
    "api.said": AWAITS,
    # These run in threads: the calls that reach a client.
    "streams.normalise.consumer": frozenset({"consume", "send", "wait", "commit", "list_topics", "subscribe"}),
    "streams.normalise.acks": frozenset({"produce", "poll"}),
    "streams.sink.consumer": frozenset({"consume", "poll", "write", "send", "commit", "migrate", "list_topics"}),
    "streams.sink.batch": frozenset({"insert"}),
    "streams.sink.store.store": frozenset({"insert"}),
    "streams.sink.letters": frozenset({"produce", "flush"}),
}
# What awaits, or speaks to Kafka, and lies beside the path: each of its points stands in beside.py, with the reason. Of cli the commands
# are left out that a person runs and that speak to Kafka without an await: they take nothing in that they would have to commit.
BESIDE: dict[str, Kind] = {
    "streams.harness.runner": AWAITS,
    "streams.harness.lineage": AWAITS,
    "streams.harness.kafka": frozenset({"list_topics", "assign", "poll", "consume", "committed", "commit", "produce", "flush"}),
    "api.server": AWAITS,
    "api.write": AWAITS,
    "api.calls": AWAITS,
    "api.pages": AWAITS,
    "api.limits": AWAITS,
    "cli.run": AWAITS,
    "cli.wiring": AWAITS,
}
# The last step of the acting path: where the client of the target hands bytes to the socket. The first write of a request is its head.
SOCKET = "httpcore2._backends.anyio"
SOCKET_WRITE = f"{SOCKET}:AnyIOStream.write:self._stream.send"
# The commit of a stage: Faust's own loop makes it (COMMIT_EVERY_S of streams/harness/app.py), in the thread of its consumer.
FAUST = "faust.transport.drivers.aiokafka"
STAGE_COMMIT = f"{FAUST}:AIOKafkaConsumerThread._commit:consumer.commit"
OUTSIDE: dict[str, Kind] = {SOCKET: AWAITS, FAUST: AWAITS}  # of libraries: rewritten, and not enumerated

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


def function_of(name: str) -> str:
    """Return `module:function` of a point's name."""
    return ":".join(name.split(":", 2)[:2])


def source_of(module: str) -> Path:
    if module in OUTSIDE:
        package, _, name = module.rpartition(".")
        folder = importlib.import_module(package).__file__ or ""
        return Path(folder).parent / f"{name}.py"
    return REPO / f"{module.replace('.', '/')}.py"


def kind_of(module: str) -> Kind:
    return {**BESIDE, **OUTSIDE, **PATH}[module]


def points(module: str, source: str) -> list[Point]:
    """Return the points of a module's source, in the order of their text."""
    rewriter = Rewriter(module, kind_of(module))
    rewriter.visit(ast.parse(source))
    return rewriter.found


def all_points(modules: Iterable[str] = PATH) -> list[Point]:
    return [point for module in modules for point in points(module, source_of(module).read_text(encoding="utf-8"))]


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

    def visit_AsyncWith(self, node: ast.AsyncWith) -> list[ast.stmt]:
        """Wrap each entry: before it, and as the first thing within. `async with a, b` is the same as `async with b` inside of `a`."""
        names = [self._name(f"async with {_short(item.context_expr)}") for item in node.items]
        self.generic_visit(node)
        inner = node.body
        for name, item in reversed(list(zip(names, node.items, strict=True))):
            entered = ast.copy_location(ast.AsyncWith([item], [_statement(AFTER, name), *inner]), node)
            inner = [_statement(BEFORE, name), entered]
        return inner

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST | list[ast.stmt]:
        """Call back before the loop, and as each item arrives."""
        name = self._name(f"async for {_short(node.iter)}")
        self.generic_visit(node)
        node.body.insert(0, _statement(AFTER, name))
        return [_statement(BEFORE, name), node]

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Call back before the first item is asked for, and as each arrives."""
        if not node.is_async:
            return self.generic_visit(node)
        name = self._name(f"async for {_short(node.iter)}")
        self.generic_visit(node)
        node.iter = _second(_call(BEFORE, name), node.iter)
        node.ifs.insert(0, _second(_call(AFTER, name), ast.Constant(True)))
        return node

    def _within(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._function.append(node.name)
        self.generic_visit(node)
        self._function.pop()
        return node

    def _wrapped(self, node: ast.Await | ast.Call, what: str) -> ast.AST:
        """Return `(before(name), node, after(name))[1]`."""
        name = self._name(what)
        self.generic_visit(node)
        return _second(_call(BEFORE, name), node, _call(AFTER, name))

    def _name(self, what: str) -> str:
        function = ".".join(self._function) or "module"
        nth = self._texts[function, what]
        self._texts[function, what] += 1
        self.found.append(Point(self._module, function, what, nth))
        return self.found[-1].name


def _short(node: ast.expr) -> str:
    """Return what is called, without its arguments: they may change and the point stays the same."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node)


def _second(*parts: ast.expr) -> ast.expr:
    """Return an expression that evaluates all in order and is the second."""
    return ast.Subscript(ast.Tuple(list(parts), ast.Load()), ast.Constant(1), ast.Load())


def _call(name: str, point: str) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(point)], [])


def _statement(name: str, point: str) -> ast.stmt:
    return ast.Expr(_call(name, point))
