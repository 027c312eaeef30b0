"""Crash points are read from the code: all of them, by names that stay, and a strike falls where it is said to."""

from __future__ import annotations

import ast
import asyncio
import builtins
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streams.harness.errors import Fatal
from tests.faults.points import code, exempt, proven, strike
from tests.faults.points.code import AFTER, BEFORE, BESIDE, PATH, REPO, Point, all_points, rewritten, source_of
from tests.faults.points.driving import SIDES, TRIES, Family, Lane, Spot, Verdict, owner
from tests.faults.points.families import FAMILIES
from tests.faults.points.strike import callbacks
from tests.faults.points.worker import FencedTarget
from tests.faults.reliability.case import Finding, Ground
from tests.kafka.broker import KafkaBroker

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
    """Say whether a module awaits, or is a client of Kafka."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    clients = {"Consumer", "Producer"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "confluent_kafka" and clients & {alias.name for alias in node.names}:
            return True
    return False


def test_every_module_that_awaits_is_on_the_path_or_beside_it_for_a_reason() -> None:
    """Given a new module that awaits, when nobody has said whether an input waits there for its commit, then this fails."""
    paths = [path for package in ("streams", "agents", "api") for path in (REPO / package).rglob("*.py") if awaiting(path)]
    found = {".".join(path.relative_to(REPO).with_suffix("").parts) for path in paths}
    assert found - set(PATH) - set(BESIDE) == set(), "put it into PATH, or with a reason into BESIDE, of tests/faults/points/code.py"
    assert set(BESIDE) - found == set(), "no longer awaits: take it out of BESIDE"


def test_every_crash_point_is_proven_or_exempt() -> None:
    """Given a new await between an input and its commit, when the campaign has not struck there, then this names it and the command."""
    assert proven.problems(proven.read(), proven.names(), proven.read(proven.OWED)) == []


def test_no_exemption_outlives_its_point() -> None:
    points = {point.name for point in all_points()}
    gone = [name for name in exempt.POINTS if name not in points]
    gone += [entry for entry in exempt.SIDES if entry.rsplit(" ", 1)[0] not in points]
    assert gone == [], "take them out of tests/faults/points/exempt.py"


def test_a_point_that_is_new_or_gone_or_half_proven_is_named_with_what_to_do() -> None:
    stood = {"a:f:one": frozenset({"kb", "ka", "zb", "za"}), "a:f:two": frozenset({"kb", "za"}), "a:f:gone": frozenset({"kb"})}
    owed = {"a:f:later": frozenset({"kb", "ka", "zb", "za"}), "a:f:one": frozenset({"za"}), "a:f:past": frozenset({"kb"})}
    found = proven.problems(stood, ["a:f:one", "a:f:two", "a:f:new", "a:f:later"], owed)
    assert len(found) == 5
    assert found[0].startswith("a:f:gone is in proven.txt and no longer in the code")
    assert found[1].startswith("a:f:past is in owed.txt and no longer in the code")
    assert found[2].startswith("a:f:one is owed and proven")
    assert "a:f:two is not proven (ka, zb)" in found[3]
    assert "a:f:new is not proven (ka, kb, za, zb)" in found[4]
    assert "python -m tests.faults.points --note --only 'a:f:new'" in found[4]


def test_what_a_point_stood_is_added_to_what_it_stood_before_and_points_that_are_gone_are_dropped(tmp_path: Path) -> None:
    path, (first, second, *_) = tmp_path / "proven.txt", proven.names()
    owed = tmp_path / "owed.txt"
    path.write_text("no.such:module:point  kb\n")
    owed.write_text(f"{first}  zb\n{second}  kb za\n")
    proven.note(second, {"kb", "ka"}, path, owed)
    assert proven.read(owed) == {first: {"zb"}, second: {"za"}}
    proven.note(first, {"zb"}, path, owed)
    proven.note(second, {"za"}, path, owed)
    assert not owed.exists()
    assert proven.read(path) == {first: {"zb"}, second: {"kb", "ka", "za"}}
    assert [line.split("  ")[0] for line in path.read_text().splitlines()[1:]] == [first, second]


def test_every_point_has_a_bench_that_answers_for_it() -> None:
    assert [name for name in proven.names() if owner(name, FAMILIES) is None] == []
    assert owner("streams.harness.view:LogView.wait_for:self._until", FAMILIES) == "api"
    assert owner("streams.harness.view:LogView.barrier:self._ends", FAMILIES) == "acting"


def family(bench: Any) -> Family:
    return Family("f", "", ("m:",), ("work",), lambda *_: bench, True, {}, lanes=1, round=2)


class Bench:
    """Strikes fall on every point but one; what was struck last is found in the comparison."""

    def __init__(self, verdict: Verdict) -> None:
        self.victim = self
        self.struck = False
        self.lives: list[str] = []
        self.noted: list[str] = []
        self.scenes: list[str] = []
        self._verdict = verdict

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        self.struck = environment["FAULT_POINT"] != "m:f:missed"
        self.scenes.append(scene)
        self.lives.append(f"{environment['FAULT_POINT']} {environment['FAULT_SIDE']} {environment['FAULT_STRIKE']}")

    def bury(self) -> None: ...

    def judge(self) -> Verdict:
        return self._verdict

    def close(self) -> None: ...


def driven(bench: Bench, names: list[str], tmp_path: Path) -> list[Finding]:
    plan = {(name, side): [Spot("work", {"FAULT_POINT": name}), Spot("join", {"FAULT_POINT": name})] for name in names for side in SIDES}
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    noted = lambda name, marks: bench.noted.append(f"{name} {' '.join(marks)}")  # noqa: E731
    Lane(family(bench), KafkaBroker(tmp_path / "kafka"), plan, "kill", 2, todo, found, Ground(tmp_path, lambda _: None), noted).run()
    return [one for _ in range(found.qsize()) if (one := found.get()) is not None]


def test_each_point_is_struck_on_both_sides_and_told_after_the_comparison(tmp_path: Path) -> None:
    bench = Bench(Verdict(equal=True))
    found = driven(bench, ["m:f:one", "m:f:two", "m:f:three"], tmp_path)
    assert bench.lives[:2] == ["m:f:one before kill", "m:f:one after kill"]
    assert [(one.item, one.injected, one.passed) for one in found] == [(f"m:f:{name}", 2, True) for name in ("one", "two", "three")]
    assert bench.noted == ["m:f:one kb ka", "m:f:two kb ka", "m:f:three kb ka"]


def test_a_strike_that_does_not_fall_is_tried_again_and_proves_nothing(tmp_path: Path) -> None:
    bench = Bench(Verdict())
    (found,) = driven(bench, ["m:f:missed"], tmp_path)
    assert bench.scenes == ["work", "join", "work"] * 2, f"tried {TRIES} times a side, in another scene each time"
    assert found.failed == ("before: did not fall", "after: did not fall")
    assert bench.noted == []


def test_what_a_comparison_finds_counts_against_every_point_of_its_round(tmp_path: Path) -> None:
    found = driven(Bench(Verdict(doubled=1)), ["m:f:one", "m:f:two"], tmp_path)
    assert [(one.doubled, one.passed) for one in found] == [(1, False), (1, False)]


def test_a_bench_that_breaks_is_told_and_the_next_points_get_another(tmp_path: Path) -> None:
    class Broken(Bench):
        def judge(self) -> Verdict:
            if len(self.lives) <= 4:
                raise RuntimeError("no broker")
            return Verdict()

    found = driven(Broken(Verdict()), ["m:f:one", "m:f:two", "m:f:three"], tmp_path)
    assert [(one.item, one.passed) for one in found] == [("m:f:one", False), ("m:f:two", False), ("m:f:three", True)]
    assert "no broker" in found[0].failed[0]


def test_a_target_that_fences_refuses_the_older_owner_and_tells_a_second_effect(tmp_path: Path) -> None:
    old, new = FencedTarget(tmp_path), FencedTarget(tmp_path)
    old.token, new.token = 3, 9
    old.act("a")
    assert new.look_up("a")
    with pytest.raises(Fatal):
        old.act("b")
    new.act("a")
    assert old.requests() == [("act", "a"), ("lookup", "a"), ("refused", "b"), ("again", "a")]
