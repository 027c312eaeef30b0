"""A fault of the sandbox from injection to outcome, with a SIGKILL at one moment of the loop; `tests/faults/kill_loop.py` runs one.

The moments that `replay/campaign` records and folds again are looked at there.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.kill_loop import CASES as EVERY
from tests.faults.kill_loop import run_case
from tests.faults.reliability.case import Case, Finding, Ground, Listed

RECORDED = ("control-after-proposal", "control-after-started", "detect-mid-loop", "normalise-mid-loop", "dedup-mid-loop", "sink-mid-loop")
OTHERS = {case.name: case for case in EVERY if case.name not in RECORDED}


def kills(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Kill at every other moment, each time in a loop of its own."""
    for name, case in OTHERS.items():
        if name not in done:
            with ground.own_kafka() as broker:
                yield run_case(case, broker.bootstrap, ground.new_folder("loop"), lambda line: ground.say(f"    {line}"))


CASES = (
    Case(
        "loop",
        "a fault of the sandbox with a SIGKILL at the other moments of its loop (an effect sent or not yet sent, a verification half over): "
        "one effect in the target's own log, one outcome, every record in the store",
        Listed(tuple(OTHERS), kills),
        minutes=14,
    ),
)
