"""verify: the verdict from the evidence before and after an action, once, by a deadline that survives a restart."""

import pytest

from models.verification import judge
from models.verification.judge import improved
from schemas.actions import ActionSpec, Finished, FinishStatus, RefusalReason, Refused, Seen, Started
from schemas.approvals import UndoRequest
from schemas.config.policy import Verification
from schemas.incidents import Feedback, IncidentPhase
from schemas.kinds import ActionName, Cause, Direction, Kind, Mode, Verdict
from schemas.outcomes import Outcome
from schemas.signals import SeriesEvidence
from tests.acting_world import (
    APPROVALS,
    INCIDENTS,
    NOTICES,
    OUTCOMES,
    RESTART,
    T0,
    UNSCALE,
    World,
    evidence,
    incident,
)

SPEC = ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 4})
BOUNDS = Verification()


def started(*, mode: Mode = Mode.LIVE, undo: ActionSpec | None = UNSCALE, at: int = T0, **changes: object) -> Started:
    fields = {
        "id": f"sta-{at}",
        "action": "act-1",
        "proposal": "prp-1",
        "incident": "inc-1",
        "mode": mode,
        "spec": SPEC,
        "undo": undo,
        "cause": Cause.CPU_SPIKE,
        "hypothesis_service": "orders",
        "confidence": 0.9,
        "epoch": 0,
        "seen": Seen(),
        "at": at,
    }
    return Started(**{**fields, **changes})


def finished(*, mode: Mode = Mode.LIVE, status: FinishStatus = FinishStatus.SUCCEEDED, at: int = T0 + 1000, **changes: object) -> Finished:
    fields = {
        "id": "fin-1",
        "action": "act-1",
        "proposal": "prp-1",
        "incident": "inc-1",
        "mode": mode,
        "spec": SPEC,
        "status": status,
        "epoch": 0,
        "at": at,
    }
    return Finished(**{**fields, **changes})


class Watched(World):
    """An incident whose opener stands at `before`, and an action on it that finished a second after T0."""

    def __init__(self, before: float = 4.0, **start: object) -> None:
        super().__init__()
        mode = start.get("mode", Mode.LIVE)
        self.logs.write(INCIDENTS, incident(1, [evidence([before] * 20, T0)]))
        self.logs.write(INCIDENTS, started(**start))
        self.logs.now += 1000
        self.logs.write(INCIDENTS, finished(mode=mode))
        self.settle()
        self.version = 1

    def after(self, values: list[float], seconds: int, **more: object) -> None:
        """Let time pass and write a record whose last reading is of now."""
        self.tick(seconds)
        self.version += 1
        self.logs.write(INCIDENTS, incident(self.version, [evidence(values, self.logs.now)], **more))
        self.settle()

    def outcomes(self) -> list[Outcome]:
        return self.logs.events(OUTCOMES)


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


def test_the_executed_notice_comes_with_the_end_and_verified_with_the_verdict() -> None:
    world = Watched()
    assert world.notices() == ["executed"]
    world.after([1.0] * 5, 20)
    assert world.notices() == ["executed", "verified"]
    assert "latency of orders 4 → 1" in world.logs.events(NOTICES)[-1].text


# the judgement itself


def judged(openers: list[SeriesEvidence], after: list[SeriesEvidence]) -> Verdict:
    return judge(openers, after, started_at=T0, after_at=T0 + 11_000, bounds=BOUNDS).verdict


LATER = T0 + 30_000


@pytest.mark.parametrize(
    ("before", "after", "direction", "expected"),
    [
        (10.0, 8.0, Direction.UP, 0.2),
        (10.0, 12.0, Direction.UP, -0.2),
        (0.5, 0.6, Direction.DOWN, 0.2),
        (0.0, 0.9, Direction.DOWN, 1.0),
        (0.0, 0.0, Direction.DOWN, 0.0),
        (0.0, 3.0, Direction.UP, -1.0),
        (-10.0, -12.0, Direction.UP, 0.2),
        (1e-300, 5.0, Direction.UP, -1e6),
    ],
)
def test_improvement_is_a_share_of_the_value_before_against_the_bad_direction(
    before: float, after: float, direction: Direction, expected: float
) -> None:
    assert improved(before, after, direction) == pytest.approx(expected)


def test_the_worst_metric_decides() -> None:
    good, bad = evidence([4.0] * 9, T0, name="a"), evidence([4.0] * 9, T0, name="b")
    better, same = evidence([1.0] * 5, LATER, name="a"), evidence([4.0] * 5, LATER, name="b")
    assert judged([good], [better]) is Verdict.SUCCESS
    assert judged([good, bad], [better, same]) is Verdict.NONE
    assert judged([good, bad], [better]) is Verdict.INCONCLUSIVE


def test_just_before_is_the_median_of_the_last_points_before_the_start() -> None:
    opener = evidence([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 90.0, 4.0, 4.0, 500.0], T0 + 1000)
    (metric,) = judge([opener], [evidence([1.0] * 5, LATER)], started_at=T0, after_at=T0 + 11_000, bounds=BOUNDS).metrics
    assert metric.before == 4.0


def test_one_of_the_last_points_out_of_the_band_is_not_back() -> None:
    opener = evidence([4.0] * 9, T0)
    assert judged([opener], [evidence([1.0, 1.0, 1.0, 1.3, 1.0], LATER)]) is Verdict.PARTIAL
    assert judged([opener], [evidence([9.0, 1.0, 1.0, 1.0, 1.0, 1.0], LATER)]) is Verdict.SUCCESS


def test_openers_must_all_be_back_in_one_record() -> None:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [evidence([4.0] * 20, T0, name=name) for name in "ab"]))
    world.logs.write(INCIDENTS, started())
    world.logs.write(INCIDENTS, finished())
    quiet, noisy = [1.0] * 5, [1.0, 1.3, 1.0, 1.0, 1.0]
    said = []
    for version, values in enumerate([(quiet, noisy), (noisy, quiet), (quiet, quiet)], 2):
        world.tick(20)
        readings = [evidence(points, world.logs.now, name=name) for name, points in zip("ab", values, strict=True)]
        world.logs.write(INCIDENTS, incident(version, readings))
        world.settle()
        said.append([outcome.verdict for outcome in world.logs.events(OUTCOMES)])
    assert said == [[], [], [Verdict.SUCCESS]]


def test_beyond_the_good_edge_of_the_band_is_recovered_but_not_for_a_metric_that_is_bad_both_ways() -> None:
    low = [evidence([0.1] * 5, LATER)]
    assert judged([evidence([4.0] * 9, T0)], low) is Verdict.SUCCESS
    assert judged([evidence([4.0] * 9, T0, direction=Direction.BOTH)], low) is Verdict.PARTIAL


def test_a_hit_ratio_that_was_zero_recovers() -> None:
    cache = {"direction": Direction.DOWN, "kind": Kind.CACHE, "low": 0.7, "high": 1.0, "baseline": 0.9}
    assert judged([evidence([0.0] * 9, T0, **cache)], [evidence([0.9] * 5, LATER, **cache)]) is Verdict.SUCCESS


def test_an_opener_that_was_back_before_the_action_must_only_stay_so() -> None:
    back, out = evidence([1.0] * 9, T0, name="a"), evidence([4.0] * 9, T0, name="b")
    healed = evidence([1.0] * 5, LATER, name="b")
    assert judged([back, out], [evidence([1.0] * 5, LATER, name="a"), healed]) is Verdict.SUCCESS
    assert judged([back, out], [evidence([3.0] * 5, LATER, name="a"), healed]) is Verdict.WORSE
    assert judged([back], [evidence([1.0] * 5, LATER, name="a")]) is Verdict.INCONCLUSIVE


def test_a_series_replaced_by_a_restart_is_matched_and_the_worst_of_the_new_ones_counts() -> None:
    opener = evidence([4.0] * 9, T0)
    new = [evidence([1.0] * 5, LATER, series="new-1"), evidence([3.0] * 5, LATER, series="new-2")]
    stale = evidence([4.0] * 9, T0 + 2000)
    assert judged([opener], [stale, new[0]]) is Verdict.SUCCESS
    assert judged([opener], [stale, *new]) is Verdict.PARTIAL
    assert judged([opener], [stale, evidence([1.0] * 5, LATER, series="other", service="catalog")]) is Verdict.INCONCLUSIVE


def test_a_restart_is_named_by_what_was_done() -> None:
    world = Watched(spec=RESTART, hypothesis_service=None, cause=None, confidence=None)
    world.after([1.0] * 5, 20)
    (outcome,) = world.outcomes()
    assert (outcome.service, outcome.cause, outcome.confidence, outcome.action_name) == ("orders", Cause.OTHER, 0.0, ActionName.RESTART)


def test_a_metric_that_went_missing_is_not_replaced_by_another_instance_that_was_there_all_along() -> None:
    vanished = evidence([4.0] * 9, T0, series="i1")
    healthy = evidence([1.0] * 31, LATER, series="i2")
    assert judged([vanished], [healthy]) is Verdict.INCONCLUSIVE
    other_opener = evidence([4.0] * 9, T0, series="i2")
    assert judged([vanished, other_opener], [evidence([1.0] * 5, LATER, series="i2")]) is Verdict.INCONCLUSIVE
    began_since = evidence([1.0] * 15, LATER, series="i3")
    assert judged([vanished], [healthy, began_since]) is Verdict.SUCCESS


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


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([0.85] * 9, [1.19] * 5, Verdict.SUCCESS),  # 40 % up inside its band: what is ordinary says nothing
        ([1.0] * 4 + [1.3] + [1.0] * 4, [1.0] * 5, Verdict.SUCCESS),  # its median was back
        ([1.15] * 9, [1.19, 1.19, 1.19, 1.19, 1.22], Verdict.NONE),  # out again, by less than a tenth
        ([1.0] * 9, [1.19, 1.19, 1.19, 1.19, 1.22], Verdict.WORSE),  # out again
        ([1.3] * 9, [1.105] * 5, Verdict.PARTIAL),  # back, but by 15 % only
        ([1.25] * 9, [1.19] * 5, Verdict.NONE),  # back, by 5 %
    ],
)
def test_an_opener_near_its_band_is_judged_by_the_rules_of_the_adr(before: list[float], after: list[float], expected: Verdict) -> None:
    healed = evidence([4.0] * 9, T0, name="a"), evidence([1.0] * 5, LATER, name="a")
    assert judged([healed[0], evidence(before, T0, name="b")], [healed[1], evidence(after, LATER, name="b")]) is expected


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
