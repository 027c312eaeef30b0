"""The frame of the fault campaign: what is proven is not run again, what breaks is told, and the report says what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.reliability import __main__ as command
from tests.faults.reliability import ledger
from tests.faults.reliability.__main__ import chosen, run_case
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, NotRun, single
from tests.faults.reliability.chapters import CHAPTERS
from tests.faults.reliability.report import REPORT, percentile, rendered

GOOD = Finding("seed 1", 10, equal=True, recovery_s=(1.0, 3.0))


def ground(folder: Path) -> Ground:
    return Ground(folder, lambda _: None)


def case(*findings: Finding) -> Case:
    def run(_: Ground, done: frozenset[str]) -> Iterator[Finding]:
        yield from (found for found in findings if found.item not in done)

    return Case("kills", "SIGKILL", run, 1)


@pytest.mark.parametrize(
    "bad",
    [{"lost": 1}, {"doubled": 1}, {"wrong": 1}, {"equal": False}, {"failed": ("no outcome",)}],
)
def test_a_finding_with_anything_lost_doubled_wrong_or_unequal_does_not_hold(bad: dict[str, object]) -> None:
    assert GOOD.passed
    assert not replace(GOOD, **bad).passed  # type: ignore[arg-type]


def test_what_was_found_is_read_back_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(ledger.entry("harness", "kills", replace(GOOD, lost=1), 1.0), path)
    assert ledger.proven("harness", "kills", path) == frozenset()
    ledger.append(ledger.entry("harness", "kills", GOOD, 2.0), path)
    assert ledger.proven("harness", "kills", path) == {"seed 1"}
    assert [found.finding for found in ledger.tidy(path).values()] == [GOOD]
    assert path.read_text().count("\n") == 1


def test_a_case_that_broke_is_told_until_it_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(ledger.entry("harness", "kills", Finding(ledger.ITSELF, 0, failed=("no broker",)), 1.0), path)
    assert [found.finding.passed for found in ledger.tidy(path).values()] == [False]
    ledger.append(ledger.entry("harness", "kills", GOOD, 1.0), path)
    assert [found.finding for found in ledger.tidy(path).values()] == [GOOD]


def test_what_was_found_with_other_code_is_not_proven(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(replace(ledger.entry("harness", "kills", GOOD, 1.0), code="another"), path)
    assert ledger.proven("harness", "kills", path) == frozenset()


def test_what_the_machine_lacks_is_said_and_is_no_finding(tmp_path: Path) -> None:
    said: list[str] = []

    def lacking(_: Ground) -> Finding:
        raise NotRun("go is not installed")

    chapter = Chapter("network", "Network", (Case("cut", "cut", single("all", lacking), 1),))
    assert list(run_case(chapter, chapter.cases[0], Ground(tmp_path, said.append), frozenset())) == []
    assert said == ["  NOT RUN network/cut: go is not installed"]


def test_a_case_that_raises_is_a_finding_that_does_not_hold(tmp_path: Path) -> None:
    def broken(_: Ground) -> Finding:
        raise RuntimeError("no broker")

    chapter = Chapter("harness", "Harness", (Case("kills", "SIGKILL", single("all", broken), 1),))
    found = [finding for finding, _ in run_case(chapter, chapter.cases[0], ground(tmp_path), frozenset())]
    assert [finding.failed for finding in found] == [("RuntimeError: no broker",)]


def test_the_command_leaves_out_what_is_proven_and_with_missing_what_was_with_older_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def find(ground: Ground) -> Finding:
        ran.append(ground.folder.name)
        return Finding("once", 1)

    path = tmp_path / "ledger.jsonl"
    monkeypatch.setattr(command, "CHAPTERS", (Chapter("short", "Short", (Case("one", "it runs", single("once", find), 1),)),))

    def campaign(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["make faults", "--ledger", str(path), "--keep", str(tmp_path), *arguments])
        assert command.main() == 0
        return len(ran)

    assert campaign() == 1
    assert campaign() == 1, "proven with this code"
    assert campaign("--again") == 2
    for found in ledger.read(path).values():
        ledger.append(replace(found, code="older"), path)
    assert campaign("--missing") == 2
    assert campaign() == 3, "what older code proved is proven anew"


def test_items_that_are_done_are_left_out(tmp_path: Path) -> None:
    chapter = Chapter("harness", "Harness", (case(GOOD, replace(GOOD, item="seed 2")),))
    found = [finding.item for finding, _ in run_case(chapter, chapter.cases[0], ground(tmp_path), frozenset({"seed 1"}))]
    assert found == ["seed 2"]


def test_the_report_sums_the_items_of_a_case_and_names_what_does_not_hold() -> None:
    chapter = Chapter("harness", "Harness", (case(),))
    findings = [GOOD, replace(GOOD, item="seed 2", lost=2, recovery_s=(9.0,))]
    entries = {found.key: found for found in (ledger.entry("harness", "kills", each, 1.0) for each in findings)}
    text = rendered([chapter], entries)
    assert "| kills | SIGKILL | 20 | 2 | 0 | 0 | equal | 3.0 / 9.0 / 9.0 |" in text
    assert "**1 of 2 do not**" in text
    assert "- kills, seed 2: **lost 2**" in text


def test_a_case_that_was_never_run_says_so() -> None:
    assert "| kills | SIGKILL |  |  |  |  |  |  |  | not run yet |" in rendered([Chapter("harness", "Harness", (case(),))], {})


def test_the_report_in_docs_is_what_the_ledger_says() -> None:
    assert REPORT.read_text(encoding="utf-8") == rendered(CHAPTERS, ledger.read()), 'write it with: make faults FAULTS_ARGS="--report"'


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10.0), (0.95, 19.0), (1.0, 20.0)])
def test_percentile(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(20, 0, -1)], share) == expected


def test_cases_are_chosen_by_chapter_or_by_name_and_a_typo_is_told() -> None:
    assert [f"{chapter.name}/{found.name}" for chapter, found in chosen(["harness/kills"])] == ["harness/kills"]
    assert len(chosen(None)) == sum(len(chapter.cases) for chapter in CHAPTERS)
    with pytest.raises(ValueError, match="harnes"):
        chosen(["harnes"])


def test_names_of_chapters_and_cases_are_unique() -> None:
    names = [(chapter.name, found.name) for chapter in CHAPTERS for found in chapter.cases]
    assert len(names) == len(set(names))
