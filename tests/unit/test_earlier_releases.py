"""Which release is taken for the one before, what its records must agree on, and what is wrong about a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streams.harness.exits import EXIT_UNFIT
from tests.faults.reliability.earlier import SHAPES, differences, shapes
from tests.faults.reliability.shapes import shapes as own
from tests.faults.reliability.worker_partitions import SAYS, wrong_about

REPO = Path(__file__).parents[2]


def test_the_shapes_of_a_release_are_those_of_its_own_code_and_it_has_all_of_them() -> None:
    told = shapes(REPO)
    assert told == own()
    assert "none" not in told.values()


def test_a_change_of_a_record_or_of_a_format_is_another_shape_and_a_word_for_people_is_none(tmp_path: Path) -> None:
    for folder in ("schemas", "streams/harness"):
        (tmp_path / folder).mkdir(parents=True)

    def told(words: str, field: str, number: int) -> dict[str, str]:
        (tmp_path / "schemas/alerts.py").write_text(
            f'from pydantic import BaseModel\nclass AlertEvent(BaseModel):\n    """{words}"""\n    {field}: int\n'
        )
        (tmp_path / "streams/harness/snapshots.py").write_text(f"FORMAT = {number}\n")
        return shapes(tmp_path)

    first = told("One.", "at", 1)
    assert differences(first, told("Another.", "at", 1)) == []
    assert differences(first, told("One.", "since", 1)) == ["schemas.alerts.AlertEvent"]
    assert differences(first, told("One.", "at", 2)) == ["streams.harness.snapshots.FORMAT"]


def test_the_shapes_are_printed_by_a_process_that_has_no_code_but_that_releases(tmp_path: Path) -> None:
    printed = subprocess.run([sys.executable, "-P", str(SHAPES)], cwd=tmp_path, env={"PYTHONPATH": ""}, capture_output=True, check=True)
    assert set(json.loads(printed.stdout)) == set(own())


WORDS = " ".join(SAYS)


@pytest.mark.parametrize(
    ("code", "said", "after", "failures"),
    [
        (EXIT_UNFIT, WORDS, (5, 9), 0),
        (None, WORDS, (5, 9), 1),
        (70, WORDS, (5, 9), 1),
        (EXIT_UNFIT, WORDS.replace("4. Start", ""), (5, 9), 1),
        (EXIT_UNFIT, WORDS, (6, 9), 1),
        (EXIT_UNFIT, WORDS, (5, 10), 1),
    ],
)
def test_a_refusal_has_its_code_and_its_words_and_leaves_everything_as_it_was(
    code: int | None, said: str, after: tuple[int, int], failures: int
) -> None:
    assert len(wrong_about(code, said, (5, 9), after)) == failures
