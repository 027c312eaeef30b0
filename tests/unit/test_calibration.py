"""Online calibration: the scores are those of their formulas, and an operator's later word replaces the earlier pair."""

import math
import random

import pytest

from models.calibration import Calibration
from schemas.base import Position
from schemas.kinds import ActionName, Cause, Mode, Verdict
from schemas.outcomes import Outcome


def outcome(action: str, confidence: float, correct: int | None, version: int = 1) -> Outcome:
    return Outcome(
        id=f"out-{action}",
        version=version,
        action=action,
        proposal="prp",
        incident="inc",
        mode=Mode.LIVE,
        service="s",
        cause=Cause.MEMORY_LEAK,
        action_name=ActionName.RESTART,
        verdict=Verdict.SUCCESS if correct else Verdict.NONE,
        confidence=confidence,
        correct=correct,
        metrics=(),
        started_at=1,
        finished_at=2,
        at=3,
        source=Position(topic="t", partition=0, offset=0),
    )


def test_the_scores_are_those_of_their_formulas() -> None:
    found = Calibration()
    pairs = [(0.9, 1), (0.8, 0), (0.6, 1), (0.3, 0)]
    for number, (confidence, correct) in enumerate(pairs):
        found.take(outcome(str(number), confidence, correct))
    assert found.pairs == 4
    assert found.brier.get() == pytest.approx(sum((p - c) ** 2 for p, c in pairs) / 4)
    assert found.log_loss.get() == pytest.approx(-sum(math.log(p if c else 1 - p) for p, c in pairs) / 4)


def test_what_has_no_answer_does_not_count() -> None:
    found = Calibration()
    found.take(outcome("a", 0.9, None))
    assert found.pairs == 0


def test_a_repeat_changes_nothing_and_a_newer_word_replaces_the_older() -> None:
    found, plain = Calibration(), Calibration()
    for _ in range(3):
        found.take(outcome("a", 0.9, 1))
    found.take(outcome("b", 0.7, 1))
    found.take(outcome("a", 0.9, 0, version=2))
    found.take(outcome("a", 0.9, 1, version=1))
    plain.take(outcome("b", 0.7, 1))
    plain.take(outcome("a", 0.9, 0))
    assert found.pairs == plain.pairs == 2
    assert found.brier.get() == pytest.approx(plain.brier.get())
    assert found.log_loss.get() == pytest.approx(plain.log_loss.get())


def test_the_order_does_not_matter() -> None:
    outcomes = [outcome(str(n), n / 20 + 0.02, n % 2) for n in range(18)]
    one, other = Calibration(), Calibration()
    for each in outcomes:
        one.take(each)
    random.Random(1).shuffle(outcomes)
    for each in outcomes:
        other.take(each)
    assert one.brier.get() == pytest.approx(other.brier.get())
