"""The frame of the fault campaign: what is proven is not run again, what breaks is told, and the report says what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.faults.reliability import __main__ as command
from tests.faults.reliability import ledger, sources
from tests.faults.reliability.__main__ import run_case
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, NotRun, single
from tests.faults.reliability.chapters import CHAPTERS, digest_of
from tests.faults.reliability.report import rendered

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
    ledger.append(ledger.entry("harness", "kills", replace(GOOD, item="zero"), 1.0), path)
    ledger.append(ledger.entry("harness", "kills", Finding(ledger.ITSELF, 0, failed=("no broker",)), 1.0), path)
    ledger.tidy(path)
    assert [found.finding.passed for found in ledger.tidy(path).values()] == [True, False], "in whatever order they are kept"
    path.unlink()
    ledger.append(ledger.entry("harness", "kills", GOOD, 1.0), path)
    assert [found.finding for found in ledger.tidy(path).values()] == [GOOD]


def test_what_was_found_with_other_code_is_not_proven(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(replace(ledger.entry("harness", "kills", GOOD, 1.0), code="another"), path)
    assert ledger.proven("harness", "kills", path) == frozenset()


def test_what_was_found_with_another_case_is_not_proven_and_an_entry_that_does_not_say_is_older(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(ledger.entry("harness", "kills", GOOD, 1.0, "this"), path)
    assert ledger.proven("harness", "kills", path, "this") == {"seed 1"}
    assert ledger.proven("harness", "kills", path, "stricter") == frozenset()
    assert ledger.proven("harness", "kills", path, "stricter", older=True) == {"seed 1"}
    line = json.loads(path.read_text())
    del line["cases"]
    path.write_text(json.dumps(line) + "\n")
    assert ledger.proven("harness", "kills", path, "this") == frozenset()


def test_an_older_entry_does_not_claim_that_doubles_were_counted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = [json.loads(json.dumps(asdict(ledger.entry("harness", "kills", replace(GOOD, doubled=count), 1.0)))) for count in (0, 2)]
    for line, item in zip(lines, ("none", "two"), strict=True):
        del line["cases"]
        line["finding"]["item"] = item
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [found.finding.doubled for found in ledger.read(path).values()] == [None, 2]


def test_every_chapter_has_a_digest_of_its_own_code() -> None:
    assert len({digest_of(chapter) for chapter in CHAPTERS} - {""}) == len(CHAPTERS)


def test_the_code_of_a_chapter_is_what_its_module_names_as_an_import_or_as_a_process(tmp_path: Path) -> None:
    for name, text in {
        "tests/faults/chapter.py": "from tests.faults import bench\nWORKER = 'tests.faults.worker'\nTEST = 'tests/unit/test_one.py::test'",
        "tests/faults/bench.py": "from tests.kafka.broker import Broker",
        "tests/faults/worker.py": "",
        "tests/faults/other.py": "",
        "tests/kafka/broker.py": "from tests.faults import chapter",
        "tests/kafka/pom.xml": "",
        "tests/unit/test_one.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {path.relative_to(tmp_path).as_posix() for path in sources.files("tests.faults.chapter", tmp_path)}
    assert found == {
        *(f"tests/faults/{name}.py" for name in ("chapter", "bench", "worker")),
        "tests/kafka/broker.py",
        "tests/kafka/pom.xml",
        "tests/unit/test_one.py",
    }


def lacking(_: Ground) -> Finding:
    raise NotRun("go is not installed")


def test_what_the_machine_lacks_is_said_is_no_finding_and_not_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.jsonl"
    cases = (Case("cut", "cut", single("all", lacking), 1, in_sample=True), replace(case(GOOD), in_sample=True))
    monkeypatch.setattr(command, "CHAPTERS", (Chapter("network", "Network", cases),))
    monkeypatch.setattr("sys.argv", ["make faults", "--ledger", str(path), "--keep", str(tmp_path)])
    assert command.main() == command.NOT_RUN
    assert capsys.readouterr().out.splitlines()[-1] == "not run: network/cut: go is not installed"
    assert {key[1] for key in ledger.read(path)} == {"kills"}, "the others are run all the same"
    monkeypatch.setattr("sys.argv", ["make faults", "--ledger", str(path), "--keep", str(tmp_path), "--sample"])
    assert command.main() == 0


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
    monkeypatch.setattr(command, "digest_of", lambda _: "stricter")
    assert campaign() == 4, "what a case proved that has become stricter is proven anew"


def test_items_that_are_done_are_left_out(tmp_path: Path) -> None:
    chapter = Chapter("harness", "Harness", (case(GOOD, replace(GOOD, item="seed 2")),))
    found = [finding.item for finding, _ in run_case(chapter, chapter.cases[0], ground(tmp_path), frozenset({"seed 1"}))]
    assert found == ["seed 2"]


def test_the_report_sums_the_items_of_a_case_and_names_what_does_not_hold() -> None:
    chapter = Chapter("harness", "Harness", (case(),))
    findings = [GOOD, replace(GOOD, item="seed 2", lost=2, recovery_s=(9.0,), notes="of 90")]
    entries = {found.key: found for found in (ledger.entry("harness", "kills", each, 1.0) for each in findings)}
    text = rendered([chapter], entries)
    assert "| kills | SIGKILL | 20 | 2 |  |  |  | equal |  | 3.0 / 9.0 / 9.0 |" in text
    assert "**1 of 2 do not**" in text
    assert "- kills, seed 2: **lost 2**; of 90" in text


def test_the_report_shows_what_was_measured_and_leaves_a_cell_empty_where_nothing_was() -> None:
    found = replace(GOOD, lost=0, repeated=7, rereads=1, guards=0, recovery_s=())
    entries = {("harness", "kills", "seed 1"): ledger.entry("harness", "kills", found, 1.0)}
    assert "| kills | SIGKILL | 10 | 0 |  | 7 |  | equal | 1 / 0 |  |" in rendered([Chapter("harness", "Harness", (case(),))], entries)


def holds(shown: Case, *findings: Finding) -> str:
    """Return the last cell of a case's row."""
    entries = {found.key: found for found in (ledger.entry("harness", "kills", each, 1.0) for each in findings)}
    text = rendered([Chapter("harness", "Harness", (shown,))], entries)
    return next(line for line in text.splitlines() if line.startswith("| kills")).split(" | ")[-1].removesuffix(" |")


def test_the_report_says_yes_only_when_every_item_that_a_case_lists_was_found_to_hold() -> None:
    seeds = [replace(GOOD, item=f"seed {seed}") for seed in (1, 2, 3)]
    listed = Case("kills", "SIGKILL", Listed(tuple(found.item for found in seeds), case(*seeds).run), 1)
    assert holds(listed, *seeds[:2]) == "part: 2 of 3"
    assert holds(listed, *seeds) == "yes"
    assert holds(listed, *seeds[:2], replace(GOOD, item="an item that it had once", lost=1)) == "part: 2 of 3"
    assert holds(listed, seeds[0], replace(seeds[1], lost=1)) == "**1 of 2 do not**, part: 2 of 3"


def test_a_case_that_does_not_list_its_items_holds_once_it_has_come_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seeds = tmp_path / "ledger.jsonl", [replace(GOOD, item=f"seed {seed}") for seed in (1, 2)]

    def broken(_: Ground, done: frozenset[str]) -> Iterator[Finding]:
        yield seeds[0]
        raise RuntimeError("no broker")

    def campaign(one: Case) -> str:
        monkeypatch.setattr(command, "CHAPTERS", (Chapter("harness", "Harness", (one,)),))
        monkeypatch.setattr("sys.argv", ["make faults", "--ledger", str(path), "--keep", str(tmp_path)])
        command.main()
        return holds(one, *(found.finding for found in ledger.read(path).values()))

    assert campaign(Case("kills", "SIGKILL", broken, 1)) == "**1 of 2 do not**, part: 2 so far"
    assert holds(case(*seeds), seeds[0]) == "part: 1 so far"
    assert campaign(case(*seeds)) == "yes"
    assert ledger.proven("harness", "kills", path, digest_of(CHAPTERS[0])) == {"seed 1", "seed 2"}
    ledger.append(ledger.entry("harness", "kills", replace(GOOD, item="zero"), 1.0), path)
    assert holds(case(), *(found.finding for found in ledger.tidy(path).values())) == "part: 3 so far", "it is being run again"


def test_the_report_names_the_items_of_each_commit_where_they_are_several() -> None:
    of = {"seed 1": "aaaaaaa", "seed 2": "bbbbbbb", "seed 3": "aaaaaaa"}
    found = [replace(ledger.entry("harness", "kills", replace(GOOD, item=item), 1.0), commit=commit) for item, commit in of.items()]
    text = rendered([Chapter("harness", "Harness", (case(),))], {each.key: each for each in found})
    assert "| aaaaaaa, bbbbbbb |" in text
    assert "- kills: at aaaaaaa seed 1, seed 3; at bbbbbbb seed 2" in text


def test_a_case_that_was_never_run_says_so() -> None:
    assert "| kills | SIGKILL |  |  |  |  |  |  |  |  |  | not run yet |" in rendered([Chapter("harness", "Harness", (case(),))], {})


def test_what_an_earlier_run_kept_is_left_alone(tmp_path: Path) -> None:
    first, second = (Ground(tmp_path, lambda _: None) for _ in range(2))
    folders = [first.new_folder("kafka"), first.new_folder("site"), second.new_folder("kafka"), second.new_folder("site")]
    assert len(set(folders)) == 4


def test_the_folder_of_a_run_is_not_written_down(tmp_path: Path) -> None:
    told_there = replace(GOOD, notes=f"see {tmp_path}/site/log", failed=(f"{tmp_path}/a",))
    chapter = Chapter("harness", "Kills", (case(told_there),))
    ((told, _),) = run_case(chapter, chapter.cases[0], ground(tmp_path), frozenset())
    assert (told.notes, told.failed) == ("see site/log", ("a",))
