"""How long from the SIGKILL of detect until it has caught up, with the state of many series; it is started again at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.bed import bed
from bench.figures import Figure, Goal
from bench.load import Load
from bench.meter import Unmeasured, follow, scrape
from bench.throughput import WITHIN_S, folded
from cli import runfile
from cli.demo.stack import Stack
from cli.processes import STEADY_S as CLEARED_S
from schemas import topics

EVERY_S = 10.0  # a sample of each series: the load goes on while detect is away
SLICES = 100  # of a round of all series
CAUGHT_UP_S = 4.0  # behind wall time is where the watermark stands anyway: a window, the lateness, the way
STEADY_S = CLEARED_S + 2.0  # of load before a kill: who is ended again sooner is started again with a delay, which is not its own
LOOK_EVERY_S = 0.2  # a look costs the role some milliseconds, which it then lacks to recover
GOALS = (Goal("worst", 10, most=True, unit="s"),)


@dataclass
class Plan:
    series: int = 100_000
    rounds: int = 40
    kills: int = 5
    say: Callable[[str], None] = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Give detect its state, keep its series going, and kill it several times."""
    with bed() as ours:
        load = Load(ours.bootstrap, plan.series)
        plan.say(f"writing {plan.series * plan.rounds:,} samples of {plan.series:,} series")
        load.history(plan.rounds, EVERY_S)
        with ours.roles("normalise", "detect") as stack:
            follow(lambda: folded(stack), load.sent, WITHIN_S)
            with _Going(load):
                took = [_kill(stack, plan) for _ in range(plan.kills)]
            size = sum(value for (name, _), value in scrape(stack.address("detect", "observe_port")).items() if name == _BYTES)
    notes = f"{plan.kills} kills: {', '.join(f'{one:.1f}' for one in took)} s; {size / 1e6:,.0f} MB of state"
    at = {"series": plan.series}
    yield Figure("recovery", "p50", sorted(took)[len(took) // 2], "s", at=at, notes=notes)
    yield Figure("recovery", "worst", max(took), "s", at=at, notes=notes)


_BYTES, _WATERMARK = "airra_harness_snapshot_bytes", "airra_detect_watermark_seconds"


class _Going:
    """Writes a sample of each series every so often, in a thread, until it is left."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._load.flush()

    def _write(self) -> None:
        number, begun = 0, time.time()
        while not self._stop.wait(max(0.0, begun + number * EVERY_S / SLICES - time.time())):
            self._load.write(range(number % SLICES, self._load.series, SLICES), int(time.time() * 1000))
            number += 1


def _kill(stack: Stack, plan: Plan) -> float:
    until(lambda: _behind(stack) < CAUGHT_UP_S)
    threading.Event().wait(STEADY_S)
    found = runfile.read(stack.directory, "detect")
    assert found is not None, "detect has ended"
    struck = time.time()
    os.kill(found["pid"], signal.SIGKILL)
    until(lambda: runfile.read(stack.directory, "detect") not in (None, found) and _behind(stack) < CAUGHT_UP_S)
    took = time.time() - struck
    plan.say(f"  caught up after {took:.1f} s")
    return took


def _behind(stack: Stack) -> float:
    """Return the seconds that the slowest partition's watermark is behind wall time."""
    try:
        found = [value for (name, _), value in scrape(stack.address("detect", "observe_port")).items() if name == _WATERMARK]
    except (OSError, RuntimeError):
        return WITHIN_S
    return time.time() - min(found) if len(found) == topics.SAMPLES.partitions else WITHIN_S


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        if time.monotonic() > deadline:
            raise Unmeasured(f"not caught up within {WITHIN_S:.0f} s")
        threading.Event().wait(LOOK_EVERY_S)
