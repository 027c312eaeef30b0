"""Online calibration: the scores are those of their formulas, and an operator's later word replaces the earlier pair."""

import math
import random
from pathlib import Path

import pytest

from models import calibration
from models.calibration import Calibration
from schemas.base import Position
from schemas.kinds import ActionName, Cause, Mode, Verdict
from schemas.outcomes import Outcome
from schemas.topics import OUTCOMES
from streams.sink.batch import Batch
from streams.sink.store import open_store
from tests.unit.sink_records import Log


def outcome(action: str, confidence: float, correct: int | None, version: int = 1, mode: Mode = Mode.LIVE) -> Outcome:
    return Outcome(
        id=f"out-{action}",
        version=version,
        action=action,
        proposal="prp",
        incident="inc",
        mode=mode,
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


def test_a_dry_run_is_no_pair_whatever_an_older_writer_said_of_it() -> None:
    found = Calibration()
    found.take(outcome("a", 0.9, 1, mode=Mode.DRY_RUN))
    found.take(outcome("a", 0.9, 0, version=2, mode=Mode.DRY_RUN))
    assert found.pairs == 0


def test_nor_is_it_one_in_the_store(tmp_path: Path) -> None:
    store, log, batch = open_store("", "", tmp_path), Log(), Batch()
    try:
        store.migrate()
        log.append(OUTCOMES, outcome("a", 0.9, 1))
        log.append(OUTCOMES, outcome("b", 0.9, 1, mode=Mode.DRY_RUN))
        for record in log.records:
            batch.add(record)
        batch.write(store)
        assert store.client.query("SELECT action FROM calibration_pairs").result_rows == [("a",)]
        assert store.client.query("SELECT pairs FROM calibration_ece").result_rows == [(1,)]
    finally:
        store.close()


def test_pairs_above_the_cap_stay_counted_and_their_going_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "KEPT", 3)
    found = Calibration()
    for number in range(5):
        found.take(outcome(str(number), 0.9, 1))
    assert (len(found.kept), found.pairs, found.evicted) == (3, 5, 2)
