"""docs/reliability.md, made of the ledger and of the limits that are written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.faults.reliability.case import Case, Chapter
from tests.faults.reliability.ledger import REPO, Entry

REPORT = REPO / "docs" / "reliability.md"
LIMITS = Path(__file__).parent / "limits.md"

HEAD = """# Reliability: what was injected and what was found

Made by `make faults` from docs/reliability.jsonl, a line for each thing that was injected; do not edit it by hand. Everything ran on a
real Apache Kafka on one machine of two cores. *lost*, *doubled*, *wrong*: records, or effects in the target's own log. *state*: equal to
a linear replay of the input. *recovery*: seconds from the fault until caught up. *at*: the commit the case was last run on.
"""
COLUMNS = (
    "case",
    "what is injected, what must hold",
    "faults",
    "lost",
    "doubled",
    "wrong",
    "state",
    "recovery p50 / p95 / worst",
    "at",
    "holds",
)


def rendered(chapters: Sequence[Chapter], entries: Mapping[tuple[str, str, str], Entry]) -> str:
    """Return the report."""
    parts = [HEAD]
    for chapter in chapters:
        rows = [_row(case, [found for found in entries.values() if found.key[:2] == (chapter.name, case.name)]) for case in chapter.cases]
        parts += [f"## {chapter.title}\n", _table(COLUMNS, rows), *_told(chapter, entries.values())]
    parts.append(LIMITS.read_text(encoding="utf-8"))
    return "\n".join(parts)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(len(ordered) * share, 6)) - 1)]


def _row(case: Case, found: Sequence[Entry]) -> tuple[str, ...]:
    if not found:
        return (case.name, case.shows, *("" for _ in range(6)), "", "not run yet")
    findings = [each.finding for each in found]
    compared = [each.equal for each in findings if each.equal is not None]
    state = "" if not compared else "equal" if all(compared) else "**not equal**"
    failed = sum(1 for each in findings if not each.passed)
    holds = "yes" if not failed else f"**{failed} of {len(findings)} do not**"
    times = [value for each in findings for value in each.recovery_s]
    recovery = " / ".join(f"{value:.1f}" for value in (percentile(times, 0.5), percentile(times, 0.95), max(times))) if times else ""
    sums = [str(sum(getattr(each, name) for each in findings)) for name in ("injected", "lost", "doubled", "wrong")]
    return (case.name, case.shows, *sums, state, recovery, ", ".join(sorted({each.commit for each in found})), holds)


def _told(chapter: Chapter, entries: Iterable[Entry]) -> Iterable[str]:
    """Say what cannot stand in a table: what did not hold, and what the findings note."""
    names = {case.name for case in chapter.cases}
    mine = [found for found in entries if found.chapter == chapter.name and found.case in names]
    lines = [f"- {found.case}, {found.finding.item}: **{_why(found)}**" for found in mine if not found.finding.passed]
    lines += [
        f"- {found.case}, {found.finding.item}: {found.finding.notes}" for found in mine if found.finding.passed and found.finding.notes
    ]
    return ["\n".join(lines) + "\n"] if lines else []


def _why(found: Entry) -> str:
    finding = found.finding
    counted = [f"{name} {getattr(finding, name)}" for name in ("lost", "doubled", "wrong") if getattr(finding, name)]
    return "; ".join([*counted, *(["state not equal"] if finding.equal is False else []), *finding.failed])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
