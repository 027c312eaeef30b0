"""The short form of cases of `make faults`, on Apache Kafka; the others, and the long form, are for `make faults`."""

from pathlib import Path

import pytest

from tests.faults.reliability.case import Case, Ground, NotRun
from tests.faults.reliability.chapters import CHAPTERS

IN_CI = {"points/harness-kill", "store/twice", "replay/doctor"}
CASES = {f"{chapter.name}/{case.name}": case for chapter in CHAPTERS for case in chapter.cases if case.in_sample}


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("needs_kafka")
@pytest.mark.parametrize("case", [pytest.param(CASES[name], id=name) for name in sorted(IN_CI)])
def test_the_sample_of_a_case_holds(case: Case, tmp_path: Path) -> None:
    said: list[str] = []
    with Ground(tmp_path, said.append, sample=True) as ground:
        try:
            found = list(case.run(ground, frozenset()))
        except NotRun as lacking:
            pytest.skip(str(lacking))
    assert found, "\n".join(said)
    assert [finding for finding in found if not finding.passed] == [], "\n".join(said)
