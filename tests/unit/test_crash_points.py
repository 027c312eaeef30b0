"""Crash points are read from the code: all of them, by names that stay, and a strike falls where it is said to."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from tests.faults.points import code
from tests.faults.points.code import AFTER, BEFORE, PATH, Point, all_points, rewritten, source_of
from tests.faults.points.strike import callbacks

ASYNC = """
async def work(step):
    first = await step("a") + await step("b")
    async with guard():
        await step("c")
    async for item in items():
        await step(item)
    return first
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
        "some.module:work:step#2",
        "some.module:work:async for items",
        "some.module:work:step#3",
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
        async def __aenter__(self) -> None:
            passed.append("entered")

        async def __aexit__(self, *error: object) -> None:
            pass

    async def items() -> Any:
        yield "d"

    async def step(name: str) -> str:
        passed.append(name)
        return name

    space: dict[str, Any] = {"guard": Guard, "items": items}
    exec(compile(rewritten(module, ASYNC), "some", "exec"), space)
    assert asyncio.run(space["work"](step)) == "ab"
    assert passed == [
        *("< step", "a", "> step", "< step#1", "b", "> step#1"),
        *("< async with guard", "entered", "> async with guard", "< step#2", "c", "> step#2"),
        *("< async for items", "> async for items", "< step#3", "d", "> step#3"),
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
