"""verify and an operator's word: a confirmed cause makes the newest version of an outcome, and never more than that."""

import pytest

from schemas.incidents import Feedback
from schemas.kinds import Cause, Mode, Verdict
from tests.acting_world import INCIDENTS, OUTCOMES, T0, World, evidence, incident
from tests.unit.verify_world import Watched, finished


def confirmed(cause: Cause | None, *, service: str | None = None, name: str = "1") -> Feedback:
    return Feedback(id=f"fee-{name}", incident="inc-1", subject="ann", at=T0, confirmed_cause=cause, confirmed_service=service)


@pytest.mark.parametrize(
    ("feedback", "correct"),
    [
        (confirmed(Cause.CPU_SPIKE), 1),
        (confirmed(Cause.MEMORY_LEAK), 0),
        (confirmed(Cause.CPU_SPIKE, service="catalog"), 0),
        (confirmed(None, service="orders"), 1),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_a_confirmed_cause_overrides_what_the_metrics_said(feedback: Feedback, correct: int, early: bool) -> None:
    world = Watched()
    if early:
        world.logs.write(INCIDENTS, feedback)
    world.after([3.9] * 5, 20)
    world.tick(100)
    for _ in range(2):
        world.logs.write(INCIDENTS, feedback)
        world.settle()
    last = world.outcomes()[-1]
    assert (last.correct, last.confirmed_by, last.version) == (correct, "ann", 1 if early else 2)
    assert len({outcome.id for outcome in world.outcomes()}) == 1
    assert last.verdict is Verdict.NONE


def test_an_old_feedback_repeated_does_not_take_the_newer_ones_place() -> None:
    world = Watched()
    world.tick(100)
    for word in (confirmed(Cause.CPU_SPIKE), confirmed(Cause.DATABASE, name="2"), confirmed(Cause.CPU_SPIKE)):
        world.logs.write(INCIDENTS, word)
        world.settle()
    assert [(outcome.version, outcome.correct) for outcome in world.outcomes()] == [(1, None), (2, 1), (3, 0)]


@pytest.mark.parametrize("early", [True, False])
def test_an_operators_word_makes_no_pair_of_a_dry_run(early: bool) -> None:
    world = Watched(mode=Mode.DRY_RUN)
    if early:
        world.logs.write(INCIDENTS, confirmed(Cause.CPU_SPIKE))
    world.tick(100)
    world.logs.write(INCIDENTS, confirmed(Cause.CPU_SPIKE))
    world.settle()
    last = world.outcomes()[-1]
    assert (last.mode, last.correct, last.confirmed_by) == (Mode.DRY_RUN, None, "ann")


@pytest.mark.parametrize("early", [True, False])
def test_a_later_word_on_the_service_alone_takes_back_no_cause(early: bool) -> None:
    world = Watched()
    words = [confirmed(Cause.DATABASE), confirmed(None, service="orders", name="2")]
    if early:
        for word in words:
            world.logs.write(INCIDENTS, word)
    world.tick(100)
    for word in words:
        world.logs.write(INCIDENTS, word)
        world.settle()
    assert world.outcomes()[-1].correct == 0
    world.logs.write(INCIDENTS, confirmed(Cause.CPU_SPIKE, name="3"))
    world.settle()
    assert world.outcomes()[-1].correct == 1, "a newer word on the cause does"


def test_an_outcome_without_its_start_is_neither_right_nor_wrong_whatever_is_confirmed() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0)]))
    world.logs.write(INCIDENTS, finished())
    world.tick(20)
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0] * 5, world.logs.now)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.correct, outcome.confidence) == (Verdict.SUCCESS, None, 0.0)
    world.stages["verify"].save()
    world.stages["verify"].crash()
    world.logs.write(INCIDENTS, confirmed(Cause.OTHER))
    world.settle()
    assert [one.correct for one in world.logs.events(OUTCOMES)] == [None, None]
