"""The frame of the fault campaign: what is proven is not run again, what breaks is told, and the report says what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench import Result
from tests.faults.campaign import Effects
from tests.faults.fleet import Fleet
from tests.faults.points.groups import until
from tests.faults.reliability import __main__ as command
from tests.faults.reliability import ledger, sources
from tests.faults.reliability.__main__ import chosen, run_case
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, NotRun, single
from tests.faults.reliability.chapters import CHAPTERS, digest_of
from tests.faults.reliability.harness import CANNOT, finding
from tests.faults.reliability.moves import SEEDS, missing
from tests.faults.reliability.report import REPORT, percentile, rendered
from tests.faults.reliability.workers import held, in_recovery, within_recovery

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
    findings = [GOOD, replace(GOOD, item="seed 2", lost=2, recovery_s=(9.0,))]
    entries = {found.key: found for found in (ledger.entry("harness", "kills", each, 1.0) for each in findings)}
    text = rendered([chapter], entries)
    assert "| kills | SIGKILL | 20 | 2 |  |  |  | equal |  | 3.0 / 9.0 / 9.0 |" in text
    assert "**1 of 2 do not**" in text
    assert "- kills, seed 2: **lost 2**" in text


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


def test_what_a_campaign_measured_is_in_its_finding() -> None:
    found = finding("seed 1", 10, Result("kills", lost=1, wrong=2, repeated=3))
    assert (found.lost, found.doubled, found.wrong, found.repeated, found.equal) == (1, None, 2, 3, True)
    acted = finding("seed 1", 10, Effects("effector", wrong=2))
    assert (acted.lost, acted.doubled, acted.wrong, acted.repeated, acted.equal) == (0, 2, None, None, None)


@pytest.mark.parametrize(
    ("exits", "excused", "holds"),
    [
        ({}, (), True),
        ({72: 1}, (), False),
        ({72: 1}, CANNOT, True),
        ({71: 1}, CANNOT, False),
        ({-9: 1}, CANNOT, False),
        ({0: 1}, (), False),
    ],
)
def test_a_worker_that_ends_by_itself_is_a_fault_unless_the_case_explains_it(exits: dict[int, int], excused: Any, holds: bool) -> None:
    assert finding("seed 1", 1, Result("kills", exits=exits), excused).passed is holds


def test_an_end_that_nobody_looked_at_is_counted_when_the_worker_is_killed_or_told_to_end(tmp_path: Path) -> None:
    fleet = Fleet("none", tmp_path, [], module="timeit")  # ends with 2: it knows none of the options
    for end in (fleet.kill, fleet.terminate):
        fleet.start(0)
        until(lambda: fleet.ended(0), 10.0, "it has ended")
        end(0)
    assert fleet.exits == {2: 2}
    fleet.start(0)
    fleet.kill(0)
    assert fleet.exits == {2: 2}, "one that is killed while it runs has not ended by itself"


def test_a_hole_that_was_read_again_and_an_end_by_the_guard_are_counted_over_all_workers_and_are_faults(tmp_path: Path) -> None:
    fleet = Fleet("none", tmp_path, [])
    assert held(GOOD, fleet) == replace(GOOD, rereads=0, guards=0)
    for number in (0, 104):
        (tmp_path / f"worker-{number}.log").write_text("hole_reread\n")
    assert held(GOOD, fleet).failed == ("2 holes had to be read again",)
    fleet.exits[71] += 1
    assert held(GOOD, fleet).failed == ("2 holes had to be read again", "the guard ended 1 processes")


ASSIGNED, OPENED = "partitions_assigned  partitions=[0] stage=count", "partition_opened  partition=0"


@pytest.mark.parametrize(
    ("said", "times", "now"),
    [
        ([ASSIGNED, ASSIGNED, ASSIGNED], 3, 3),
        ([ASSIGNED, ASSIGNED, ASSIGNED, OPENED], 3, 0),
        ([ASSIGNED, ASSIGNED, OPENED, ASSIGNED, OPENED], 2, 0),
        ([ASSIGNED, OPENED, ASSIGNED, ASSIGNED], 1, 0),
        ([ASSIGNED, "partitions_assigned  partitions=[] stage=count", ASSIGNED], 1, 0),
        ([ASSIGNED, '{"partitions": [], "event": "partitions_assigned"}', ASSIGNED], 1, 0),
        ([], 0, 0),
    ],
)
def test_a_rebalance_is_within_a_recovery_if_nothing_was_opened_before_it(said: list[str], times: int, now: int) -> None:
    assert within_recovery("\n".join(said)) == times
    assert in_recovery("\n".join(said)) == now


def test_fewer_rebalances_than_wanted_are_told() -> None:
    assert missing(2, 2) == []
    assert missing(1, 2) == ["the recovery met 1 rebalances of 2"]


def test_the_moves_are_a_hundred_and_over_each_number_of_partitions() -> None:
    assert len(SEEDS) * 10 == 100
    assert set(SEEDS.values()) == {1, 4, 12}


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
