"""Crash points: every await between an input and its commit, of every role, struck on both sides (tests/faults/points, ADR 0006)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.faults.points import proven
from tests.faults.points.driving import Family, findings, owner
from tests.faults.points.families import FAMILIES
from tests.faults.reliability.case import Case, Chapter, Finding, Ground

HOW = {
    "kill": "SIGKILL before and after {shows}",
    "stop": "SIGSTOP before and after {shows}, until others have its work, then SIGCONT: the zombie",
}


def _run(family: Family, how: str) -> Callable[[Ground, frozenset[str]], Iterator[Finding]]:
    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        mine = list(family.sample) if ground.sample else [name for name in proven.names() if owner(name, FAMILIES) == family.name]
        if points := [name for name in mine if name not in done]:
            yield from findings(family, points, how, ground) if ground.sample else findings(family, points, how, ground, proven.note)

    return run


CHAPTER = Chapter(
    "points",
    "Crash points",
    tuple(
        Case(
            f"{family.name}-{'kill' if how == 'kill' else 'zombie'}",
            shows.format(shows=family.shows),
            _run(family, how),
            family.minutes[how],
            in_sample=bool(family.sample) and how == "kill",
        )
        for how, shows in HOW.items()
        for family in FAMILIES
    ),
)
