"""Three cases of the kill loop on Apache Kafka; `make kill-loop` runs all of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.kill_loop import CASES, run_case

IN_CI = ("control-after-granted", "control-effect-sent", "control-verification-half-over")


@pytest.mark.timeout(420)
@pytest.mark.parametrize("case", [case for case in CASES if case.name in IN_CI], ids=lambda case: case.name)
def test_a_kill_leaves_one_effect_and_one_outcome(case: Any, fresh_kafka: Any, tmp_path: Path) -> None:
    said: list[str] = []
    wrong = run_case(case, fresh_kafka.bootstrap, tmp_path / "run", said.append)
    assert wrong == [], "\n".join(said)
