"""Crash points are read from the code: all of them, by names that stay, and a strike falls where it is said to."""

from __future__ import annotations

import ast
import asyncio
import builtins
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.faults.points import beside, code, exempt, proven, strike
from tests.faults.points.code import (
    AFTER,
    BEFORE,
    BESIDE,
    OUTSIDE,
    PATH,
    REPO,
    SOCKET_WRITE,
    STAGE_COMMIT,
    Point,
    all_points,
    rewritten,
    source_of,
)
from tests.faults.points.driving import owner
from tests.faults.points.families import FAMILIES
from tests.faults.points.strike import callbacks

ASYNC = """
async def work(step):
    first = await step("a") + await step("b")
    async with guard(), other() as entered:
        await step("c")
    async for item in items():
        await step(item)
    return [first, *[each async for each in items() if entered]]
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(code.PATH, "some.module", code.AWAITS)
    return "some.module"


def test_every_await_is_a_point_and_the_same_call_twice_is_two(module: str) -> None:
    assert [point.name for point in code.points(module, ASYNC)] == [
        "some.module:work:step",
        "some.module:work:step#1",
        "some.module:work:async with guard",
        "some.module:work:async with other",
        "some.module:work:step#2",
        "some.module:work:async for items",
        "some.module:work:step#3",
        "some.module:work:async for items#1",
    ]


def test_a_name_survives_edits_of_other_lines_and_of_arguments(module: str) -> None:
    edited = ASYNC.replace('step("c")', 'step("another", 2)').replace("async def work", "import os\n\n\nasync def work")
    assert code.points(module, edited) == code.points(module, ASYNC)


def test_in_a_module_of_threads_the_calls_that_reach_a_client_are_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(code.PATH, "some.module", frozenset({"commit"}))
    source = "class Sink:\n    def flush(self):\n        self.rows.clear()\n        self.consumer.commit(self.offsets)\n"
    assert code.points("some.module", source) == [Point("some.module", "Sink.flush", "self.consumer.commit", 0)]


def test_the_rewritten_code_does_the_same_and_calls_back_on_both_sides(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(builtins, BEFORE, lambda name: passed.append(f"< {name.rsplit(':', 1)[1]}"), raising=False)
    monkeypatch.setattr(builtins, AFTER, lambda name: passed.append(f"> {name.rsplit(':', 1)[1]}"), raising=False)

    class Guard:
        def __init__(self) -> None:
            passed.append("made")

        async def __aenter__(self) -> bool:
            passed.append("entered")
            return True

        async def __aexit__(self, *error: object) -> None:
            passed.append("left")

    async def items() -> Any:
        yield "d"

    async def step(name: str) -> str:
        passed.append(name)
        return name

    space: dict[str, Any] = {"guard": Guard, "other": Guard, "items": items}
    exec(compile(rewritten(module, ASYNC), "some", "exec"), space)
    assert asyncio.run(space["work"](step)) == ["ab", "d"]
    assert passed == [
        *("< step", "a", "> step", "< step#1", "b", "> step#1"),
        *("< async with guard", "made", "entered", "> async with guard", "< async with other", "made", "entered", "> async with other"),
        *("< step#2", "c", "> step#2", "left", "left"),
        *("< async for items", "> async for items", "< step#3", "d", "> step#3"),
        *("< async for items#1", "> async for items#1"),
    ]


@pytest.mark.parametrize(("side", "nth", "struck_after"), [("before", 0, ["<"]), ("after", 0, ["<", ">"]), ("before", 1, ["<", ">", "<"])])
def test_a_strike_falls_on_its_side_the_nth_time(side: str, nth: int, struck_after: list[str]) -> None:
    calls: list[str] = []
    struck: list[list[str]] = []
    env = {"FAULT_POINT": "here", "FAULT_SIDE": side, "FAULT_NTH": str(nth)}
    before, after = callbacks(env, lambda number: struck.append(list(calls)))
    for _ in range(2):
        calls.append("<")
        before("here")
        before("elsewhere")
        calls.append(">")
        after("here")
    assert struck == [struck_after]


def test_the_points_of_the_path_have_names_of_their_own_and_its_modules_compile_rewritten() -> None:
    points = all_points()
    assert len({point.name for point in points}) == len(points)
    assert {point.module for point in points} == set(PATH)
    for module in PATH:
        compile(rewritten(module, source_of(module).read_text(encoding="utf-8")), module, "exec")


def test_passings_count_only_from_another_point_on() -> None:
    """Given a strike at a write to the socket, when other requests are written before the one that acts, then it falls on that one."""
    struck: list[int] = []
    before, after = callbacks({"FAULT_POINT": "write", "FAULT_FROM": "act", "FAULT_NTH": "1"}, struck.append)
    for name in ("write", "write", "act", "write"):
        before(name)
        after(name)
    assert struck == []
    before("write")
    before("write")
    assert len(struck) == 1


def test_passings_count_only_once_the_process_has_worked() -> None:
    """Given a point that is passed as a process starts, when it is passed again with work in hand, then the strike falls there."""
    struck: list[int] = []
    before, after = callbacks({"FAULT_POINT": "read", "FAULT_SIDE": "after", "FAULT_WORKED": "after fold"}, struck.append)
    for name in ("read", "fold"):
        before(name)
        after(name)
        assert struck == []
    before("read")
    assert struck == []
    after("read")
    assert len(struck) == 1


def test_a_strike_falls_at_the_passing_that_is_the_work_itself() -> None:
    struck: list[int] = []
    before, _ = callbacks({"FAULT_POINT": "perform", "FAULT_WORKED": "before perform"}, struck.append)
    before("perform")
    assert len(struck) == 1


def test_what_was_passed_once_there_was_work_is_written_apart(tmp_path: Path) -> None:
    file = tmp_path / "seen"
    before, after = callbacks({"FAULT_SEEN": str(file), "FAULT_WORKED": "after fold"}, lambda _: None)
    for name in ("start", "read", "fold", "read"):
        before(name)
        after(name)
    assert file.read_text().splitlines() == [
        *("before start", "after start", "before read", "after read", "before fold"),
        *("after fold", "later after fold", "later before read", "later after read"),
    ]


def test_what_was_passed_is_written_by_side(tmp_path: Path) -> None:
    file = tmp_path / "seen"
    before, after = callbacks({"FAULT_SEEN": str(file)}, lambda _: None)
    for _ in range(2):
        before("here")
    after("here")
    assert file.read_text().splitlines() == ["before here", "after here"]


def test_constants_are_set_in_the_struck_process_alone_and_one_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    given = '{"streams.sink.letters:ACKNOWLEDGED_WITHIN_S": 1, "streams.sink.letters:_CONFIG": {"acks": "1"}}'
    constants = strike.constants(given)["streams.sink.letters"]
    for name in (BEFORE, AFTER):
        monkeypatch.setattr(builtins, name, lambda _: None, raising=False)
    module = ModuleType("streams.sink.letters")
    strike.Loader("streams.sink.letters", constants).exec_module(module)
    assert vars(module)["ACKNOWLEDGED_WITHIN_S"] == 1
    assert (vars(module)["_CONFIG"]["acks"], vars(module)["_CONFIG"]["delivery.timeout.ms"]) == ("1", 8_000)
    with pytest.raises(AttributeError):
        strike.Loader("streams.sink.letters", {"NO_SUCH_CONSTANT": 1}).exec_module(module)


def awaiting(path: Path) -> bool:
    nodes = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, nodes) or (isinstance(node, ast.comprehension) and node.is_async) for node in ast.walk(tree))


def talking(path: Path) -> bool:
    """Say whether a module is a client of Kafka."""
    imports = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom))
    return any(node.module == "confluent_kafka" and {"Consumer", "Producer"} & {each.name for each in node.names} for node in imports)


def test_every_module_that_awaits_is_on_the_path_or_beside_it_for_a_reason() -> None:
    """Given a new module that awaits, when nobody has said whether an input waits there for its commit, then this fails."""
    packages = ("streams", "agents", "api", "models", "schemas")
    paths = [path for package in packages for path in (REPO / package).rglob("*.py") if awaiting(path) or talking(path)]
    paths += [path for path in (REPO / "cli").rglob("*.py") if awaiting(path)]
    found = {".".join(path.relative_to(REPO).with_suffix("").parts) for path in paths}
    assert found - set(PATH) - set(BESIDE) == set(), "put it into PATH, or into BESIDE, of tests/faults/points/code.py"
    assert set(BESIDE) - found == set(), "no longer awaits: take it out of BESIDE"


def test_every_await_beside_the_path_is_there_by_name_for_a_reason() -> None:
    """Given a new await in a module beside the path, when nobody has said whether an input waits there, then this names it."""
    found = {point.name for point in all_points(BESIDE)}
    assert found - set(beside.POINTS) == set(), "put the module into PATH of code.py, or the await with a reason into beside.py"
    assert set(beside.POINTS) - found == set(), "no longer in the code: take it out of tests/faults/points/beside.py"


def test_the_points_inside_of_libraries_are_there() -> None:
    """Given another release of a library, when its await has another name, then nothing would strike there: this fails."""
    inside = {point.name for point in all_points(OUTSIDE)}
    assert {SOCKET_WRITE, STAGE_COMMIT} <= inside
    for module in OUTSIDE:
        compile(rewritten(module, source_of(module).read_text(encoding="utf-8")), module, "exec", dont_inherit=True)


def test_no_exemption_outlives_its_point() -> None:
    points = {point.name for point in all_points()}
    gone = [name for name in exempt.POINTS if name not in points]
    gone += [entry for entry in exempt.SIDES if entry.rsplit(" ", 1)[0] not in points]
    assert gone == [], "take them out of tests/faults/points/exempt.py"


def test_every_point_has_a_bench_that_answers_for_it() -> None:
    assert [name for name in proven.names() if owner(name, FAMILIES) is None] == []
    assert owner("streams.harness.view:LogView.wait_for:self._until", FAMILIES) == "api"
    assert owner("streams.harness.view:LogView.barrier:self._ends", FAMILIES) == "acting"
