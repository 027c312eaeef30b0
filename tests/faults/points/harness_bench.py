"""Strike the harness at every crash point it passes: kill before and after, and stop past the session time-out and go on (the zombie).

The victim runs the campaign's counting stage (or its effector); each strike ends one life of it, the next life starts with the next
point, and whenever a round is over outputs and state are compared with a linear replay of the input log.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.campaign import BEYOND_S, Bench, Result
from tests.faults.points.code import Point, all_points
from tests.kafka.broker import KafkaBroker

HARNESS = ("streams.harness.worker", "streams.harness.saver", "streams.harness.consumer", "streams.harness.producer")
PER_SECOND = 400
ROUND = 12  # strikes between two comparisons
CALM_S = {"work": 4.0, "join": 6.0, "end": 8.0}  # of a phase that is only passed through


@dataclass(frozen=True)
class Strike:
    """Where, on which side, how (kill, stop), in which phase of a life, and how often it is passed before."""

    point: str
    side: str
    how: str
    phase: str
    nth: int = 0


@dataclass
class Told:
    """A round of strikes (with whether each fell), and whether the logs are as a linear replay says."""

    strikes: list[tuple[Strike, bool]]
    result: Result

    def lines(self) -> Iterator[str]:
        found = {"lost": self.result.lost, "wrong": self.result.wrong, "equal": self.result.states_equal}
        for strike, fell in self.strikes:
            yield json.dumps({**asdict(strike), "fell": fell, **found})


PHASES = ("work", "join", "end")
WITHIN_S = {"work": 10.0, "join": 20.0, "end": 10.0}


class Victim:
    """Worker 0 of a bench. It works; then worker 1 joins it; then it is told to end: each point is passed in one of these phases."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.fleet = bench.fleet

    def seen(self, folder: Path) -> dict[str, str]:
        """Live one life without a strike; return the phase in which each point is passed for the first time."""
        file, phases = folder / "seen", dict[str, str]()
        self.fleet.start(0, {"FAULT_SEEN": str(file)})
        for phase in PHASES:
            self._enter(phase)
            self._pump(lambda: self.fleet.ended(0), CALM_S[phase])
            for name in file.read_text().splitlines():
                phases.setdefault(name, phase)
        for number in self.fleet.running():
            self.fleet.kill(number)
        return phases

    def strike(self, strike: Strike) -> bool:
        """Start the victim and go on until it is struck; say whether it was."""
        environment = {"FAULT_POINT": strike.point, "FAULT_SIDE": strike.side, "FAULT_STRIKE": strike.how, "FAULT_NTH": str(strike.nth)}
        self.fleet.start(0, environment)
        for phase in PHASES[: PHASES.index(strike.phase) + 1]:
            self._enter(phase)
            last = phase == strike.phase
            if self._pump(lambda: self.fleet.struck(0), WITHIN_S[phase] if last else CALM_S[phase]):
                return True
        return False

    def bury(self) -> None:
        """Let a stopped one sleep until others have its partitions, and go on; then begin anew."""
        if self.fleet.stopped(0):
            if 1 not in self.fleet.running():
                self.fleet.start(1)
            self.bench.pump.during(BEYOND_S, PER_SECOND)
            self.fleet.resume(0)
            self.bench.pump.during(3.0, PER_SECOND)
        for number in self.fleet.running():
            self.fleet.kill(number)

    def _enter(self, phase: str) -> None:
        if phase == "join":
            self.fleet.start(1)
        elif phase == "end":
            self.fleet.signal_to_end(0)

    def _pump(self, reached: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.bench.pump.during(0.5, PER_SECOND)
            if reached():
                return True
        return False


def discover(broker: KafkaBroker, folder: Path, seed: int = 1) -> dict[str, str]:
    """Return the phase of each harness point that the bench passes."""
    bench = Bench(broker, folder, seed, revived=False)
    with contextlib.closing(bench.fleet):
        found = Victim(bench).seen(folder)
    return {point.name: found[point.name] for point in harness_points() if point.name in found}


def rounds(broker: KafkaBroker, folder: Path, strikes: Iterable[Strike], say: Callable[[str], None], seed: int = 1) -> Iterator[Told]:
    """Strike one after the other; yield every round once it has been compared."""
    todo = list(strikes)
    for start in range(0, len(todo), ROUND):
        bench = Bench(broker, folder, seed + start, revived=False)
        victim = Victim(bench)
        done: list[tuple[Strike, bool]] = []
        with contextlib.closing(bench.fleet):
            for strike in todo[start : start + ROUND]:
                fell = victim.strike(strike)
                victim.bury()
                done.append((strike, fell))
                say(f"{strike.how:5} {strike.side:6} {strike.phase:5} {'' if fell else 'DID NOT FALL '}{strike.point}")
            bench.fleet.exits.clear()
            bench.fleet.start(0)
            bench.fleet.start(1)
            yield Told(done, bench.settle(Result("points")))


def harness_points() -> list[Point]:
    return [point for point in all_points() if point.module in HARNESS]
