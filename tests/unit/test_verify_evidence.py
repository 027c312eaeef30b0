"""verify's evidence: which records of the incident say how it was before an action, and how it is after."""

import pytest

from schemas.approvals import UndoRequest
from schemas.kinds import Kind, Verdict
from tests.acting_world import APPROVALS, INCIDENTS, OUTCOMES, T0, World, evidence, incident
from tests.unit.verify_world import finished, started


def test_the_evidence_before_is_that_of_the_newest_record_before_the_start() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([9.0] * 20, T0 - 20_000)]))
    world.logs.write(INCIDENTS, incident(2, [evidence([4.0] * 15 + [100.0] * 5, T0 + 5000)]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished())
    world.tick(20)
    world.logs.write(INCIDENTS, incident(3, [evidence([1.0] * 5, world.logs.now)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert outcome.metrics[0].before == 4.0, "points after the start do not count as before"


def test_a_later_start_of_the_same_action_takes_the_place_of_the_earlier() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0)]))
    world.logs.write(INCIDENTS, started())
    world.logs.now = T0 + 30_000
    world.logs.write(INCIDENTS, incident(2, [evidence([8.0] * 20, T0 + 30_000)]))
    world.logs.write(INCIDENTS, started(at=T0 + 30_000))
    world.logs.write(INCIDENTS, finished(at=T0 + 31_000))
    world.tick(20)
    world.logs.write(INCIDENTS, incident(3, [evidence([1.0] * 5, world.logs.now)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.metrics[0].before, outcome.started_at) == (8.0, T0 + 30_000)


@pytest.mark.parametrize("second", [False, True])
def test_a_copy_of_a_start_that_a_crash_of_report_repeats_does_not_move_the_evidence_before(second: bool) -> None:
    """Given a cure that helped, when its starts are told again after the effect was seen, then it is measured as if they were not."""
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 10, T0)]))
    starts = [started(at=T0), started(at=T0 + 1000)] if second else [started(at=T0)]
    for start in starts:
        world.logs.write(INCIDENTS, start)
    world.tick(12)
    world.logs.write(INCIDENTS, incident(2, [evidence([2.0] * 10, world.logs.now)]))
    for start in starts:
        world.logs.write(INCIDENTS, start)
    world.logs.write(INCIDENTS, finished(at=world.logs.now))
    world.tick(20)
    world.logs.write(INCIDENTS, incident(3, [evidence([2.5] * 10, world.logs.now)]))
    world.tick(90)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.metrics[0].before) == (Verdict.PARTIAL, 4.0)
    assert world.logs.events(APPROVALS, UndoRequest) == []


def test_a_start_under_a_newer_epoch_is_a_later_one_whatever_its_hosts_clock_says() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0 - 10_000)]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, incident(2, [evidence([8.0] * 20, T0 - 2000)]))
    world.logs.write(INCIDENTS, started(at=T0 - 1000, epoch=7))
    world.logs.write(INCIDENTS, finished())
    world.tick(20)
    world.logs.write(INCIDENTS, incident(3, [evidence([1.0] * 5, world.logs.now)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.metrics[0].before, outcome.started_at) == (8.0, T0 - 1000)


def test_how_it_was_before_is_unknown_where_all_that_is_known_is_of_after_the_start() -> None:
    """Given a start that is told late, when every point of the newest record is of after it, then nothing is judged or undone."""
    world = World()
    world.tick(12)
    world.logs.write(INCIDENTS, incident(1, [evidence([2.0] * 10, world.logs.now)]))
    world.logs.write(INCIDENTS, started(at=T0))
    world.logs.write(INCIDENTS, finished(at=world.logs.now))
    world.tick(20)
    world.logs.write(INCIDENTS, incident(2, [evidence([2.5] * 10, world.logs.now)]))
    world.tick(90)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, outcome.correct, outcome.metrics[0].before) == (Verdict.INCONCLUSIVE, None, None)
    assert world.logs.events(APPROVALS, UndoRequest) == []


QUIET, NOISY, OUT = [1.0] * 5, [1.0, 1.3, 1.0, 1.0, 1.0], [4.0] * 5


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([(QUIET, NOISY), (NOISY, QUIET), (QUIET, QUIET)], Verdict.SUCCESS),
        ([(QUIET, NOISY), (NOISY, NOISY), (NOISY, QUIET)], Verdict.PARTIAL),
        ([(QUIET, OUT), (OUT, OUT), (NOISY, QUIET)], Verdict.PARTIAL),
    ],
)
def test_openers_must_all_be_back_in_one_record(records: list[tuple[list[float], list[float]]], expected: Verdict) -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0, name=name) for name in "ab"]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished())
    for version, values in enumerate(records, 2):
        assert world.logs.events(OUTCOMES) == []
        world.tick(20)
        readings = [evidence(points, world.logs.now, name=name) for name, points in zip("ab", values, strict=True)]
        world.logs.write(INCIDENTS, incident(version, readings))
        world.settle()
    said = world.logs.events(OUTCOMES)
    assert [outcome.verdict for outcome in said] == ([Verdict.SUCCESS] if expected is Verdict.SUCCESS else [])
    world.tick(90)
    (outcome,) = world.logs.events(OUTCOMES)
    assert outcome.verdict is expected


@pytest.mark.parametrize("seen", ["before", "early", "never"])
def test_an_instance_is_known_from_any_record_that_shows_it_before_the_action(seen: str) -> None:
    """Records hold the newest points only: the last one does not show how old its series are."""
    world = World()
    vanished, i2 = evidence([4.0] * 10, T0, series="i1"), evidence([1.0] * 10, T0, series="i2")
    world.logs.write(INCIDENTS, incident(1, [vanished], health=[i2] if seen == "before" else []))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished(at=T0))
    world.tick(5)
    early = evidence([1.0] * 10, T0 + 5000, series="i2")
    world.logs.write(INCIDENTS, incident(2, [vanished], health=[early] if seen == "early" else []))
    world.tick(25)
    late = evidence([1.0] * 10, T0 + 30_000, series="i2")
    world.logs.write(INCIDENTS, incident(3, [vanished], health=[late]))
    world.tick(70)
    (outcome,) = world.logs.events(OUTCOMES)
    assert outcome.verdict is (Verdict.SUCCESS if seen == "never" else Verdict.INCONCLUSIVE)


def test_all_signals_together_are_no_opener_where_another_is() -> None:
    world = World()
    together = {"name": "combined", "kind": Kind.COMBINED}
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0), evidence([9.0] * 20, T0, **together)]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished())
    world.tick(20)
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0] * 5, world.logs.now), evidence([9.0] * 5, world.logs.now, **together)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, [metric.metric for metric in outcome.metrics]) == (Verdict.SUCCESS, ["latency"])


def test_where_nothing_else_opened_it_all_signals_together_must_be_back() -> None:
    world = World()
    together = {"name": "combined", "kind": Kind.COMBINED}
    world.logs.write(INCIDENTS, incident(1, [evidence([9.0] * 20, T0, **together)]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished())
    world.tick(20)
    world.logs.write(INCIDENTS, incident(2, [evidence([1.0] * 5, world.logs.now, **together)]))
    world.settle()
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, [metric.metric for metric in outcome.metrics]) == (Verdict.SUCCESS, ["combined"])
