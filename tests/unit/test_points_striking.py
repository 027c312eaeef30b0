"""How the campaign strikes: each side of each point, where there is work in hand, told after the comparison."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.harness.errors import Fatal
from tests.faults.points.code import (
    all_points,
)
from tests.faults.points.driving import SIDES, Family, Lane, Verdict, discover
from tests.faults.points.families import FAMILIES
from tests.faults.points.spots import TRIES, Spot, tries
from tests.faults.points.strike import callbacks
from tests.faults.points.worker import FencedTarget
from tests.faults.reliability.case import Finding, Ground
from tests.kafka.broker import KafkaBroker


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
