"""docs/reliability.md, made of the ledger and of the limits that are written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.faults.reliability.case import Case, Chapter, Finding
from tests.faults.reliability.ledger import ITSELF, REPO, WHOLE, Entry

REPORT = REPO / "docs" / "reliability.md"
LIMITS = Path(__file__).parent / "limits.md"

HEAD = """# Reliability: what was injected and what was found

Made by `make faults` from docs/reliability.jsonl, a line for each thing that was injected; do not edit it by hand. Everything ran on a
real Apache Kafka on one machine of two cores. *lost*, *doubled*, *wrong*: records, or effects in the target's own log. *repeated*: records
that stand again under the same id, which a crash may leave behind and every reader drops. An empty cell was not measured. *state*: equal
to a linear replay of the input. *holes*: how many a worker read again / how often the guard against them ended one. *recovery*: seconds
from the fault until caught up. *at*: the commits it was found at. *holds*: *part* is what was found to hold while something of the case
is still to be run.
"""
COLUMNS = (
    "case",
    "what is injected, what must hold",
    "faults",
    "lost",
    "doubled",
    "repeated",
    "wrong",
    "state",
    "holes",
    "recovery p50 / p95 / worst",
    "at",
    "holds",
)


def rendered(chapters: Sequence[Chapter], entries: Mapping[tuple[str, str, str], Entry]) -> str:
    """Return the report."""
    parts = [HEAD]
    for chapter in chapters:
        of = {case.name: [found for found in entries.values() if found.key[:2] == (chapter.name, case.name)] for case in chapter.cases}
        told = {case.name: [found for found in of[case.name] if _counts(case, found)] for case in chapter.cases}
        rows = [_row(case, told[case.name], _items(case, of[case.name])) for case in chapter.cases]
        parts += [f"## {chapter.title}\n", _table(COLUMNS, rows), *_told([found for each in told.values() for found in each])]
    parts.append(LIMITS.read_text(encoding="utf-8"))
    return "\n".join(parts)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(len(ordered) * share, 6)) - 1)]


def _counts(case: Case, found: Entry) -> bool:
    """Say whether an entry is about something that the case has (it may have had other items once)."""
    item = found.finding.item
    return item == ITSELF or (item != WHOLE if case.items is None else item in case.items)


def _items(case: Case, found: Iterable[Entry]) -> int | None:
    """Return how many items the case has: as it lists them, or as it noted at its end; None: it has not come to its end yet."""
    if case.items is not None:
        return len(case.items)
    return next((each.finding.injected for each in found if each.finding.item == WHOLE), None)


def _row(case: Case, found: Sequence[Entry], items: int | None) -> tuple[str, ...]:
    if not found:
        return (case.name, case.shows, *("" for _ in COLUMNS[3:]), "not run yet")
    findings = [each.finding for each in found]
    compared = [each.equal for each in findings if each.equal is not None]
    state = "" if not compared else "equal" if all(compared) else "**not equal**"
    times = [value for each in findings for value in each.recovery_s]
    recovery = " / ".join(f"{value:.1f}" for value in (percentile(times, 0.5), percentile(times, 0.95), max(times))) if times else ""
    sums = [_sum(findings, name) for name in ("injected", "lost", "doubled", "repeated", "wrong")]
    holes = " / ".join(filter(None, (_sum(findings, name) for name in ("rereads", "guards"))))
    commits = ", ".join(sorted({each.commit for each in found}))
    return (case.name, case.shows, *sums, state, holes, recovery, commits, _holds(findings, items))


def _sum(findings: Sequence[Finding], name: str) -> str:
    """Return the sum of what was measured; nothing where nothing was."""
    measured = [value for each in findings if (value := getattr(each, name)) is not None]
    return str(sum(measured)) if measured else ""


def _holds(findings: Sequence[Finding], items: int | None) -> str:
    failed, count = sum(1 for each in findings if not each.passed), len(findings)
    part = "" if items is not None and count >= items else f"part: {count} of {items}" if items else f"part: {count} so far"
    if failed:
        return ", ".join(filter(None, (f"**{failed} of {count} do not**", part)))
    return part or "yes"


def _told(mine: Sequence[Entry]) -> Iterable[str]:
    """Say what cannot stand in a table: what did not hold, what was found at several commits, and what the findings note."""
    lines = [
        "; ".join(filter(None, (f"- {found.case}, {found.finding.item}: **{_why(found)}**", found.finding.notes)))
        for found in mine
        if not found.finding.passed
    ]
    lines += [
        f"- {found.case}, {found.finding.item}: {found.finding.notes}" for found in mine if found.finding.passed and found.finding.notes
    ]
    lines += [line for case in dict.fromkeys(found.case for found in mine) if (line := _commits(case, mine))]
    return ["\n".join(lines) + "\n"] if lines else []


def _commits(case: str, mine: Sequence[Entry]) -> str:
    """Say which items of a case were found at which commit, where they are several."""
    items: dict[str, list[str]] = {}
    for found in mine:
        if found.case == case:
            items.setdefault(found.commit, []).append(found.finding.item)
    return f"- {case}: " + "; ".join(f"at {commit} {', '.join(names)}" for commit, names in items.items()) if len(items) > 1 else ""


def _why(found: Entry) -> str:
    finding = found.finding
    counted = [f"{name} {getattr(finding, name)}" for name in ("lost", "doubled", "wrong") if getattr(finding, name)]
    return "; ".join([*counted, *(["state not equal"] if finding.equal is False else []), *finding.failed])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
