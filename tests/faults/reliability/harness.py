"""Kills, moves and restarts under load: the harness campaign of `tests/faults/campaign.py`, three seeds each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.faults.bench import Result
from tests.faults.campaign import SCENARIOS, Size, run
from tests.faults.reliability.case import Case, Chapter, Finding, Ground

SEEDS = (1, 2, 3)


def finding(item: str, injected: int, result: Result) -> Finding:
    """Return what a result of the campaign says; repeats are allowed, for ids are derived."""
    exits = f"exits {result.exits}" if result.exits else ""
    notes = ", ".join(part for part in (f"{result.sent} records", exits, result.notes) if part)
    return Finding(item, injected, lost=result.lost, wrong=result.wrong, equal=result.states_equal, notes=notes)


def _seeds(name: str) -> Callable[[Ground, frozenset[str]], Iterator[Finding]]:
    def find(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        for seed in SEEDS[:1] if ground.sample else SEEDS:
            if (item := f"seed {seed}") not in done:
                size = Size(1000, 3, seed) if ground.sample else Size(2000, 10, seed)
                with ground.own_kafka() as broker:
                    yield finding(item, size.rounds, run(name, broker, ground.new_folder(name), size))

    return find


CHAPTER = Chapter(
    "harness",
    "Kills, moves and restarts under load",
    tuple(Case(name, (scenario.__doc__ or "").strip(), _seeds(name), minutes=4) for name, scenario in SCENARIOS.items()),
)
