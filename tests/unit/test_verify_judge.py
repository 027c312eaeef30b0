"""The judgement of verify, pure: what the openers' readings before and after an action make of it."""

import pytest

from models.verification import judge
from models.verification.judge import improved
from schemas.config.policy import Verification
from schemas.kinds import Direction, Kind, Verdict
from schemas.signals import SeriesEvidence
from tests.acting_world import T0, evidence

BOUNDS = Verification()
LATER = T0 + 30_000


def judged(openers: list[SeriesEvidence], after: list[SeriesEvidence]) -> Verdict:
    return judge(openers, after, started_at=T0, after_at=T0 + 11_000, bounds=BOUNDS).verdict


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


@pytest.mark.parametrize("value", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_metric_whose_points_are_all_of_after_the_start_is_measured_against_nothing(value: float, direction: Direction) -> None:
    unknown = evidence([value] * 9, T0 + 9000, direction=direction)
    judgement = judge([unknown], [evidence([1.0] * 5, LATER)], started_at=T0, after_at=T0 + 11_000, bounds=BOUNDS)
    (metric,) = judgement.metrics
    assert (judgement.verdict, metric.before, metric.after, metric.improvement) == (Verdict.INCONCLUSIVE, None, 1.0, None)
    known = evidence([4.0] * 9, T0, name="b")
    assert judged([unknown, known], [evidence([1.0] * 5, LATER, name=name) for name in ("latency", "b")]) is Verdict.INCONCLUSIVE


def test_a_metric_without_any_point_was_before_as_its_value_says() -> None:
    (metric,) = judge(
        [evidence([], T0, value=4.0)], [evidence([1.0] * 5, LATER)], started_at=T0, after_at=T0 + 11_000, bounds=BOUNDS
    ).metrics
    assert (metric.before, metric.improvement) == (4.0, 0.75)


def test_one_of_the_last_points_out_of_the_band_is_not_back() -> None:
    opener = evidence([4.0] * 9, T0)
    assert judged([opener], [evidence([1.0, 1.0, 1.0, 1.3, 1.0], LATER)]) is Verdict.PARTIAL
    assert judged([opener], [evidence([9.0, 1.0, 1.0, 1.0, 1.0, 1.0], LATER)]) is Verdict.SUCCESS


def test_a_run_of_points_in_the_band_is_not_back_when_a_later_one_is_out_again() -> None:
    opener = evidence([4.0] * 9, T0)
    assert judged([opener], [evidence([1.0] * 5 + [1.3, 1.0, 1.0, 1.3], LATER)]) is Verdict.PARTIAL
    assert judged([opener], [evidence([1.0] * 5 + [1.3, 1.3, 1.0, 1.3], LATER)]) is Verdict.PARTIAL
    assert judged([opener], [evidence([1.3, 1.0, 1.0, 1.0, 1.0, 1.3, 1.0, 1.0, 1.0, 1.0], LATER)]) is Verdict.PARTIAL
    early = evidence([1.0] * 5 + [1.3, 1.0, 1.0, 1.0, 1.0], T0 + 15_000)
    assert judged([opener], [early]) is Verdict.PARTIAL, "its run was before it settled"


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


def test_a_metric_that_went_missing_is_not_replaced_by_another_instance_that_was_there_all_along() -> None:
    vanished = evidence([4.0] * 9, T0, series="i1")
    healthy = evidence([1.0] * 31, LATER, series="i2")
    assert judged([vanished], [healthy]) is Verdict.INCONCLUSIVE
    other_opener = evidence([4.0] * 9, T0, series="i2")
    assert judged([vanished, other_opener], [evidence([1.0] * 5, LATER, series="i2")]) is Verdict.INCONCLUSIVE
    began_since = evidence([1.0] * 15, LATER, series="i3")
    assert judged([vanished], [healthy, began_since]) is Verdict.SUCCESS


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
