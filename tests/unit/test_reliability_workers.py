"""What a campaign counts of its workers: exits, rereads, guards, rebalances within a recovery; and what cases there are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench import Result
from tests.faults.campaign import Effects
from tests.faults.fleet import Fleet
from tests.faults.points.groups import until
from tests.faults.reliability import ledger
from tests.faults.reliability.__main__ import chosen
from tests.faults.reliability.case import Finding
from tests.faults.reliability.chapters import CHAPTERS
from tests.faults.reliability.harness import CANNOT, finding
from tests.faults.reliability.moves import SEEDS, missing
from tests.faults.reliability.report import REPORT, percentile, rendered
from tests.faults.reliability.workers import held, in_recovery, within_recovery

GOOD = Finding("seed 1", 10, equal=True, recovery_s=(1.0, 3.0))


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
