"""Kills, moves and restarts under load: the harness campaign of `tests/faults/campaign.py`, three seeds each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from streams.harness.exits import EXIT_FATAL, EXIT_STUCK, EXIT_UNFIT
from tests.faults.bench import Result
from tests.faults.campaign import EXCUSED, SCENARIOS, Effects, Size, run
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed

SEEDS = (1, 2, 3)
# How a worker ends that cannot go on, and says so: told, and no fault where a case takes away what it needs (a broker, a topic, a format).
CANNOT = frozenset({1, EXIT_UNFIT, EXIT_FATAL, EXIT_STUCK})


def finding(item: str, injected: int, result: Result, excused: Collection[int] = CANNOT) -> Finding:
    """Return what a result of the campaign says; a worker that ended by itself with a code that is not excused is a fault.

    Repeats are allowed, for ids are derived; an output of another id than the replay's is a wrong one. Of effects the second is a double.
    """
    exits = f"exits {result.exits}" if result.exits else ""
    notes = ", ".join(part for part in (f"{result.sent} records", exits, result.notes) if part)
    strange = {code: count for code, count in result.exits.items() if code not in excused}
    failed = (f"workers ended by themselves: {strange} (code: times)",) if strange else ()
    if isinstance(result, Effects):
        return Finding(item, injected, lost=result.lost, doubled=result.wrong, notes=notes, failed=failed)
    found = Finding(item, injected, lost=result.lost, wrong=result.wrong, equal=result.states_equal, notes=notes, failed=failed)
    return replace(found, repeated=result.repeated)


def _seeds(name: str) -> Listed:
    def find(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        for seed in SEEDS[:1] if ground.sample else SEEDS:
            if (item := f"seed {seed}") not in done:
                size = Size(1000, 3, seed) if ground.sample else Size(2000, 10, seed)
                with ground.own_kafka() as broker:
                    result = run(name, broker, ground.new_folder(name), size)
                    yield finding(item, result.injected, result, EXCUSED.get(name, ()))

    return Listed(tuple(f"seed {seed}" for seed in SEEDS), find)


CHAPTER = Chapter(
    "harness",
    "Kills, moves and restarts under load",
    tuple(Case(name, (scenario.__doc__ or "").strip(), _seeds(name), minutes=4) for name, scenario in SCENARIOS.items()),
)
