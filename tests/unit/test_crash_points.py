"""Crash points are read from the code: all of them, by names that stay, and a strike falls where it is said to."""

from __future__ import annotations

import ast
import asyncio
import builtins
import queue
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streams.harness.errors import Fatal
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
from tests.faults.points.driving import SIDES, Family, Lane, Verdict, discover, owner
from tests.faults.points.families import FAMILIES
from tests.faults.points.spots import TRIES, Spot, tries
from tests.faults.points.strike import callbacks
from tests.faults.points.worker import FencedTarget
from tests.faults.reliability.case import Finding, Ground
from tests.kafka.broker import KafkaBroker

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


def driven(bench: Bench, names: list[str], tmp_path: Path, *before: Callable[[str], Spot]) -> list[Finding]:
    plan = {
        (name, side): [*(make(name) for make in before), Spot("work", {"FAULT_POINT": name}), Spot("join", {"FAULT_POINT": name})]
        for name in names
        for side in SIDES
    }
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


def late(name: str) -> Spot:
    return Spot("work", {"FAULT_POINT": name, "FAULT_WORKED": "after fold"})


def test_a_strike_is_tried_where_the_process_has_worked_and_at_the_last_where_it_begins() -> None:
    first = [Spot("work", {"FAULT_POINT": "p"}), Spot("join", {"FAULT_POINT": "p"})]
    assert tries(first) == [first[0], first[1], first[0]]
    assert tries([late("p"), *first]) == [late("p"), late("p"), first[0]]
    assert tries([late("p")]) == [late("p")] * TRIES


def test_a_strike_that_fell_with_empty_hands_alone_is_told(tmp_path: Path) -> None:
    class Idle(Bench):
        def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
            super().live(scene, environment, over)
            self.struck = "FAULT_WORKED" not in environment or environment["FAULT_SIDE"] == "after"

    bench = Idle(Verdict())
    (found,) = driven(bench, ["m:f:one"], tmp_path, late)
    assert len(bench.lives) == TRIES + 1
    assert (found.passed, found.notes) == (True, "before: struck at its first passing, with empty hands")


class Rehearsal(Bench):
    """A bench whose scene passes one point as it starts, and another with work in hand too."""

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        before, after = callbacks(environment, lambda _: None)
        for name in ("m:f:start", "m:f:fold", *(["m:f:fold"] if scene == "work" else [])):
            before(name)
            after(name)


def test_discovery_tells_what_is_passed_with_work_in_hand(tmp_path: Path) -> None:
    family_ = replace(family(Rehearsal(Verdict())), scenes=("idle", "work"), worked="after m:f:fold")
    plan = discover(family_, KafkaBroker(tmp_path / "kafka"), Ground(tmp_path, lambda _: None))
    spots = {key: [(spot.scene, spot.late) for spot in found] for key, found in plan.items()}
    assert spots["m:f:start", "before"] == [("idle", False), ("work", False)]
    assert spots["m:f:fold", "before"] == [("work", True), ("idle", False), ("work", False)]


def test_the_work_that_a_family_waits_for_is_a_point_of_its_path() -> None:
    points = {point.name for point in all_points()}
    worked = [family.worked.partition(" ") for family in FAMILIES if family.worked]
    assert [name for side, _, name in worked if name not in points or side not in SIDES] == []
    assert [family.name for family in FAMILIES if not family.worked] == ["api"], "each of its points is passed for a decision alone"


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
