"""Strike at every point of a family: find out which scene passes it, strike on both sides, compare, tell.

A *family* is a bench and the points that it answers for. A *scene* is a trouble that a bench can make (a join, a hole, a target that
is fenced): some points are passed in no other. Lanes run beside each other, for most of a strike is waiting.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.faults.points import proven
from tests.faults.points.spots import Plan, Spot, tries
from tests.faults.points.strike import LATER
from tests.faults.points.victim import Victim
from tests.faults.reliability.case import Finding, Ground
from tests.kafka.broker import KafkaBroker

QUIET_S = 6.0  # a scene is known once no new point is passed for so long
SIDES = ("before", "after")
# A zombie is one once its session is over: of the struck process it is short.
SESSION_S = 3.0
BROKER = {"group.min.session.timeout.ms": "1000"}


@dataclass
class Verdict:
    """What a comparison found since the one before; None: not measured."""

    lost: int = 0
    doubled: int | None = 0
    wrong: int = 0
    equal: bool | None = None
    failed: tuple[str, ...] = ()


class Bench(Protocol):
    victim: Victim

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        """Start the victim with this environment and make the scene's trouble until it is over, or the scene's time is."""

    def bury(self) -> None:
        """Let a stopped victim sleep until others have its work, and go on; leave nothing of the scene behind."""

    def judge(self) -> Verdict:
        """Let what was begun come to its end, and compare it with the truth."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Family:
    name: str
    shows: str
    owns: tuple[str, ...]  # beginnings of the names of its points; the longest of all families decides
    scenes: tuple[str, ...]
    make: Callable[[KafkaBroker, Path], Bench]
    shared: bool  # whether its lanes share a broker: topics have names of their own
    minutes: Mapping[str, float]  # by kind of strike, on two cores
    lanes: int = 2
    round: int = 6  # points between two comparisons
    fixed: Mapping[str, Spot] = field(default_factory=dict)  # points that no discovery finds
    sample: Mapping[str, str] = field(default_factory=dict)  # what CI strikes at: point → scene
    quiet_s: Mapping[str, float] = field(default_factory=dict)  # of scenes that are slow to come to their point
    worked: str = ""  # `side name` of a point: who has passed it has work in hand, or behind it

    def spot(self, scene: str, name: str, *, late: bool) -> Spot:
        return Spot(scene, {"FAULT_POINT": name, **({"FAULT_WORKED": self.worked} if late else {})})


Note = Callable[[str, Iterable[str]], None]  # a point, and the marks of the strikes that it stood
_plans: dict[str, Plan] = {}  # found once in a run: the zombies pass what the kills passed


def owner(name: str, families: Iterable[Family]) -> str | None:
    """Return the family that answers for a point."""
    found = [(len(start), family.name) for family in families for start in family.owns if name.startswith(start)]
    return max(found)[1] if found else None


def findings(family: Family, points: list[str], how: str, ground: Ground, note: Note = lambda *_: None) -> Iterator[Finding]:
    """Strike at these points; yield what was found, as it is, and note what a point stood."""
    with contextlib.ExitStack() as closing:
        shared = closing.enter_context(ground.own_kafka(properties=BROKER)) if family.shared else None
        plan = _planned(family, points, shared, ground)
        unreached = {name: [side for side in proven.sides(name) if (name, side) not in plan] for name in points}
        for name, sides in unreached.items():
            if sides:
                yield Finding(name, 0, failed=(f"no scene of the bench passes it: {', '.join(sides)}",))
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        reached = (name for name in points if not unreached[name])
        for name in sorted(reached, key=lambda name: family.scenes.index(plan[name, proven.sides(name)[0]][0].scene)):
            todo.put(name)
        found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        most = min(family.round, math.ceil(todo.qsize() / family.lanes) or 1)
        lanes = [Lane(family, shared, plan, how, most, todo, found, ground, note) for _ in range(family.lanes)]
        for lane in lanes:
            lane.start()
        left = len(lanes)
        while left:
            one = found.get()
            left -= one is None
            if one is not None:
                yield one


@contextlib.contextmanager
def made(family: Family, shared: KafkaBroker | None, ground: Ground, stem: str) -> Iterator[Bench]:
    """Give a bench, on a broker of its own where its topics have the catalogue's names: what another bench wrote would be a wrong record."""
    with contextlib.ExitStack() as closing:
        broker = shared or closing.enter_context(ground.own_kafka(properties=BROKER))
        yield closing.enter_context(contextlib.closing(family.make(broker, ground.new_folder(stem))))


def _planned(family: Family, points: list[str], broker: KafkaBroker | None, ground: Ground) -> Plan:
    if ground.sample:
        return {
            (name, side): [family.spot(scene, name, late=bool(family.worked))] for name, scene in family.sample.items() for side in SIDES
        }
    if family.name not in _plans:
        fixed = {(name, side): [spot] for name, spot in family.fixed.items() for side in SIDES}
        needed = any(name not in family.fixed for name in points)
        _plans[family.name] = {**(discover(family, broker, ground) if needed else {}), **fixed}
    return _plans[family.name]


def discover(family: Family, broker: KafkaBroker | None, ground: Ground) -> Plan:
    """Live through every scene once without a strike; return the scenes that pass each side of each point."""
    passed: dict[tuple[str, str], list[Spot]] = {}
    worked = {"FAULT_WORKED": family.worked} if family.worked else {}
    with made(family, broker, ground, f"{family.name}-plan") as bench:
        for scene in family.scenes:
            file = ground.new_folder("seen") / "seen"
            bench.live(scene, {"FAULT_SEEN": str(file), **worked}, Settled(file, family.quiet_s.get(scene, QUIET_S)))
            bench.bury()
            for line in file.read_text().splitlines() if file.exists() else ():
                side, _, name = line.removeprefix(LATER).partition(" ")
                passed.setdefault((name, side), []).append(family.spot(scene, name, late=line.startswith(LATER)))
            ground.say(f"    {family.name}/{scene}: {len(passed)} sides of points are passed so far")
        verdict = bench.judge()
    if (wrong := _finding("", 0, verdict, ())) and not wrong.passed:
        raise RuntimeError(f"without any strike: {verdict}")
    return {key: sorted(spots, key=lambda spot: not spot.late) for key, spots in passed.items()}


class Settled:
    """True once no line has been added to a file for a while."""

    def __init__(self, file: Path, quiet_s: float) -> None:
        self._file, self._quiet_s = file, quiet_s
        self._size, self._since = 0, time.monotonic()

    def __call__(self) -> bool:
        size = self._file.stat().st_size if self._file.exists() else 0
        if size != self._size:
            self._size, self._since = size, time.monotonic()
        return size > 0 and time.monotonic() - self._since > self._quiet_s


class Lane(threading.Thread):
    """Strikes with a bench of its own: a child process must be ended by the thread that started it."""

    def __init__(
        self,
        family: Family,
        broker: KafkaBroker | None,
        plan: Plan,
        how: str,
        most: int,
        todo: queue.SimpleQueue[str],
        found: queue.SimpleQueue[Finding | None],
        ground: Ground,
        note: Note,
    ) -> None:
        super().__init__(daemon=True)
        self._family, self._broker, self._plan, self._how, self._most = family, broker, plan, how, most
        self._todo, self._found, self._ground, self._note = todo, found, ground, note
        self._names: list[str] = []
        self._early: dict[str, list[str]] = {}  # what fell at a first passing, although there are later ones

    def run(self) -> None:
        try:
            while names := list(self._taken()):
                try:
                    self._rounds(names)
                except Exception as error:  # a bench that breaks is told, and another takes its place
                    self._ground.say(traceback.format_exc())
                    for name in self._names:
                        self._found.put(Finding(name, 0, failed=(f"the bench: {type(error).__name__}: {error}"[:300],)))
        finally:
            self._found.put(None)

    def _taken(self) -> Iterator[str]:
        for _ in range(self._most):
            with contextlib.suppress(queue.Empty):
                yield self._todo.get_nowait()

    def _rounds(self, names: list[str]) -> None:
        """Strike at some points, each on its sides, then compare; go on with the next."""
        self._names = names
        with made(self._family, self._broker, self._ground, self._family.name) as bench:
            while self._names:
                self._early = {}
                missed = {name: tuple(self._strikes(bench, name)) for name in self._names}
                verdict = bench.judge()
                for name in self._names:
                    notes = "; ".join(self._early.get(name, ()))
                    self._tell(_finding(name, len(proven.sides(name)), verdict, missed[name], notes))
                self._names = list(self._taken())

    def _tell(self, found: Finding) -> None:
        if found.passed:
            self._note(found.item, (proven.MARKS[self._how, side] for side in proven.sides(found.item)))
        self._found.put(found)

    def _strikes(self, bench: Bench, name: str) -> Iterator[str]:
        """Strike on each side; yield what did not fall."""
        for side in proven.sides(name):
            spots = self._plan[name, side]
            for spot in tries(spots):
                begun = time.monotonic()
                strike = {"FAULT_SIDE": side, "FAULT_STRIKE": self._how, **spot.environment}
                bench.live(spot.scene, strike, lambda: bench.victim.struck)
                fell = bench.victim.struck
                bench.bury()
                told = "" if fell else "DID NOT FALL "
                self._ground.say(f"    {self._how:5}{side:7}{spot.scene:10}{time.monotonic() - begun:5.1f} s  {told}{name}")
                if fell:
                    if spots[0].late and not spot.late:
                        self._early.setdefault(name, []).append(f"{side}: struck at its first passing, with empty hands")
                    break
            else:
                yield f"{side}: did not fall"


def _finding(name: str, injected: int, verdict: Verdict, missed: tuple[str, ...], notes: str = "") -> Finding:
    return Finding(
        name,
        injected,
        lost=verdict.lost,
        doubled=verdict.doubled,
        wrong=verdict.wrong,
        equal=verdict.equal,
        notes=notes,
        failed=(*missed, *verdict.failed),
    )
