"""A figure of a run, the goals that figures are held against, and the file that keeps them: docs/performance.jsonl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
LEDGER = ROOT / "docs" / "performance.jsonl"


class Figure(msgspec.Struct, frozen=True):
    """One thing that was measured. `run` tells which were measured together: ratios are made within one run."""

    bench: str
    name: str
    value: float
    unit: str
    run: str = ""
    code: str = ""  # the commit
    machine: str = ""
    at: Mapping[str, float] = {}  # under which circumstances: series, batch, processes
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """`name`, or its share of `beside` where that is given, is to be at least (or at most) so much."""

    name: str
    bound: float
    beside: str = ""
    most: bool = False
    unit: str = ""

    def reached(self, figures: Mapping[str, float]) -> float | None:
        """Return what was reached; None where it was not measured."""
        if self.name not in figures or (self.beside and not figures.get(self.beside)):
            return None
        return figures[self.name] / figures[self.beside] if self.beside else figures[self.name]

    def met(self, value: float) -> bool:
        return value <= self.bound if self.most else value >= self.bound

    def words(self) -> str:
        told = f"{'at most' if self.most else 'at least'} {self.bound:,.10g}"
        return f"{told} × {self.beside}" if self.beside else f"{told} {self.unit}".rstrip()


def commit() -> str:
    """Return the commit that the working copy stands at, with a + where it was changed since; nothing outside a clone."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False)
    return found.stdout.strip() + ("+" if changed.stdout.strip() else "")


def keep(figures: Iterable[Figure], file: Path = LEDGER) -> None:
    """Append figures."""
    with file.open("ab") as ledger:
        ledger.writelines(msgspec.json.encode(one) + b"\n" for one in figures)


def kept(file: Path = LEDGER) -> Iterator[Figure]:
    """Read all figures, the oldest first."""
    if file.exists():
        for line in file.read_bytes().splitlines():
            yield msgspec.json.decode(line, type=Figure)


def newest(figures: Sequence[Figure]) -> dict[str, Sequence[Figure]]:
    """Return by bench the figures of its newest run."""
    runs: dict[str, str] = {one.bench: one.run for one in figures}
    return {bench: [one for one in figures if one.bench == bench and one.run == run] for bench, run in runs.items()}
