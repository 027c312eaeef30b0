"""What a kill in the loop is judged by; and three of the cases on Apache Kafka: `make kill-loop` runs all of them, and so does `make faults`."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.kill_loop import CASES, COUNTS, judged, run_case

IN_CI = ("control-after-granted", "control-effect-sent", "control-verification-half-over")
DONE = {"key": "act-1", "status": "done"}
ONCE = dict.fromkeys(COUNTS, 1)


@pytest.mark.parametrize(
    ("done", "missing", "rows", "counted"),
    [
        ([DONE], {}, ONCE, (0, 0, 0)),
        ([], {}, ONCE, (1, 0, 0)),
        ([DONE, DONE], {}, ONCE, (0, 1, 0)),
        ([DONE, {**DONE, "key": "act-of-nobody"}], {}, ONCE, (0, 0, 1)),
        ([{**DONE, "status": "failed"}], {}, ONCE, (1, 0, 1)),
        ([DONE], {"grant": 2}, ONCE, (2, 0, 0)),
        ([DONE], {}, {**ONCE, "outcomes": 0, "started": 3}, (1, 2, 0)),
    ],
)
def test_what_is_lost_doubled_or_of_no_action_is_counted_and_said(
    done: Any, missing: Any, rows: Any, counted: tuple[int, int, int]
) -> None:
    found = judged("kill", done, {"act-1"}, missing, rows, [])
    assert (found.lost, found.doubled, found.wrong) == counted
    assert bool(found.failed) == any(counted)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("case", [case for case in CASES if case.name in IN_CI], ids=lambda case: case.name)
def test_a_kill_leaves_one_effect_and_one_outcome(case: Any, fresh_kafka: Any, tmp_path: Path) -> None:
    said: list[str] = []
    found = run_case(case, fresh_kafka.bootstrap, tmp_path / "run", said.append)
    assert found.passed, "\n".join([str(found), *said])
