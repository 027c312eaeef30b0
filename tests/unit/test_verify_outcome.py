"""verify's outcome of an action: once, by a deadline; and whom it concerns is told."""

import pytest

from schemas.actions import FinishStatus, RefusalReason, Refused, Seen
from schemas.approvals import UndoRequest
from schemas.incidents import IncidentPhase
from schemas.kinds import ActionName, Cause, Mode, Verdict
from tests.acting_world import APPROVALS, INCIDENTS, NOTICES, OUTCOMES, RESTART, T0, World
from tests.unit.verify_world import SPEC, Watched, finished, started


def verdict(world: Watched) -> Verdict | None:
    return world.outcomes()[-1].verdict if world.outcomes() else None


def test_success_is_said_at_the_first_record_in_which_it_holds() -> None:
    world = Watched()
    world.after([1.0] * 8, 9)
    assert verdict(world) is None, "not settled"
    world.after([1.0] * 4, 5)
    assert verdict(world) is None, "too few points"
    world.after([1.0] * 5, 5)
    (outcome,) = world.outcomes()
    assert (outcome.verdict, outcome.correct, outcome.confidence, outcome.cause) == (Verdict.SUCCESS, 1, 0.9, Cause.CPU_SPIKE)
    (metric,) = outcome.metrics
    assert (metric.before, metric.after, metric.improvement, metric.in_band, metric.points) == (4.0, 1.0, 0.75, True, 5)
    world.tick(100)
    assert len(world.outcomes()) == 1
    assert "escalated" not in world.notices()


@pytest.mark.parametrize("hour", [-3_600_000, 3_600_000])
def test_a_host_whose_clock_is_wrong_by_then_is_not_asked_when_it_finished(hour: int) -> None:
    world = Watched(ended_at=T0 + 1000 + hour)
    world.after([1.0] * 8, 9)
    assert verdict(world) is None, "not settled"
    world.after([1.0] * 5, 10)
    (outcome,) = world.outcomes()
    assert (outcome.verdict, outcome.finished_at) == (Verdict.SUCCESS, T0 + 1000)


@pytest.mark.parametrize(
    ("after", "expected", "correct"),
    [
        (2.0, Verdict.PARTIAL, None),
        (3.5, Verdict.PARTIAL, None),
        (3.7, Verdict.NONE, 0),
        (4.3, Verdict.NONE, 0),
        (4.5, Verdict.WORSE, 0),
    ],
)
def test_every_other_verdict_waits_for_the_deadline(after: float, expected: Verdict, correct: int | None) -> None:
    world = Watched(undo=None)
    world.after([after] * 5, 20)
    world.tick(69)
    assert verdict(world) is None
    world.tick(1)
    (outcome,) = world.outcomes()
    assert (outcome.verdict, outcome.correct) == (expected, correct)
    assert "escalated" in world.notices()


def test_worse_with_an_approved_undo_asks_for_it_once_and_does_not_escalate() -> None:
    world = Watched()
    world.after([8.0] * 5, 20)
    world.tick(100)
    assert [event.action for event in world.logs.events(APPROVALS, UndoRequest)] == ["act-1"]
    assert "escalated" not in world.notices()


def test_a_dry_run_is_verified_but_neither_counts_nor_undoes() -> None:
    world = Watched(mode=Mode.DRY_RUN)
    world.after([8.0] * 5, 20)
    world.tick(100)
    (outcome,) = world.outcomes()
    assert (outcome.verdict, outcome.correct, outcome.mode) == (Verdict.WORSE, None, Mode.DRY_RUN)
    assert world.logs.events(APPROVALS, UndoRequest) == []


def test_without_readings_it_is_inconclusive_and_a_humans() -> None:
    world = Watched()
    world.tick(90)
    (outcome,) = world.outcomes()
    assert (outcome.verdict, outcome.correct) == (Verdict.INCONCLUSIVE, None)
    assert world.notices()[-1] == "escalated"


def test_an_action_that_failed_or_is_unknown_is_a_humans_at_once() -> None:
    for status in (FinishStatus.FAILED, FinishStatus.UNKNOWN):
        world = World()
        world.open_incident()
        world.logs.write(INCIDENTS, started())
        world.logs.write(INCIDENTS, finished(status=status))
        world.settle()
        (outcome,) = world.logs.events(OUTCOMES)
        assert (outcome.verdict, outcome.correct) == (Verdict.INCONCLUSIVE, None)
        assert world.notices() == ["executed", "verified", "escalated"]


def test_a_resolved_record_is_judged_with_what_it_has() -> None:
    world = Watched()
    world.after([1.0] * 7, 8, phase=IncidentPhase.RESOLVED)
    assert verdict(world) is Verdict.SUCCESS


def test_a_refusal_is_told_and_has_no_outcome() -> None:
    world = World()
    world.open_incident()
    world.logs.write(
        INCIDENTS,
        Refused(
            id="ref-1",
            action="act-1",
            proposal="prp-1",
            incident="inc-1",
            mode=Mode.LIVE,
            spec=SPEC,
            reason=RefusalReason.NOT_ARMED,
            seen=Seen(),
            at=T0,
        ),
    )
    world.tick(100)
    assert world.notices() == ["refused"]
    assert world.logs.events(OUTCOMES) == []


def test_an_undo_is_told_and_not_judged() -> None:
    world = World()
    world.open_incident()
    world.logs.write(INCIDENTS, started(undo=None, undo_of="act-0"))
    world.logs.write(INCIDENTS, finished(undo_of="act-0"))
    world.tick(100)
    assert world.notices() == ["undone"]
    assert world.logs.events(OUTCOMES) == []


def test_the_executed_notice_comes_with_the_end_and_verified_with_the_verdict() -> None:
    world = Watched()
    assert world.notices() == ["executed"]
    world.after([1.0] * 5, 20)
    assert world.notices() == ["executed", "verified"]
    assert "latency of orders 4 → 1" in world.logs.events(NOTICES)[-1].text


def test_a_restart_is_named_by_what_was_done() -> None:
    world = Watched(spec=RESTART, hypothesis_service=None, cause=None, confidence=None)
    world.after([1.0] * 5, 20)
    (outcome,) = world.outcomes()
    assert (outcome.service, outcome.cause, outcome.confidence, outcome.action_name) == ("orders", Cause.OTHER, 0.0, ActionName.RESTART)
