"""The verdict on an action: every metric that opened the incident, just before it and after it. Rules: docs/adr/0005-verdicts.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from schemas.base import Millis
from schemas.config.policy import Verification as Bounds
from schemas.kinds import Direction, Verdict
from schemas.outcomes import MetricVerdict
from schemas.signals import SeriesEvidence

# The worst metric decides; one that cannot be judged makes the whole inconclusive.
ORDER = (Verdict.SUCCESS, Verdict.PARTIAL, Verdict.NONE, Verdict.WORSE, Verdict.INCONCLUSIVE)
CAP = 1e6  # a share of next to nothing may be endless, and JSON has no word for that


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    metrics: tuple[MetricVerdict, ...]


def judge(
    openers: Sequence[SeriesEvidence],
    after: Iterable[SeriesEvidence],
    *,
    started_at: Millis,
    after_at: Millis,
    bounds: Bounds,
    there: Collection[str] = (),
) -> Judgement:
    """Judge the openers' readings until `started_at` against the readings of `after` from `after_at` on (event time, ms).

    `openers` are those of the newest incident record before the action, `after` every reading of the record judged, `there` the
    series known to have been there before it: those never stand in for one that is missing. Values are medians of the last
    `bounds.points` points. An opener that was back in its band just before the action has nothing to get better at: it only must
    not leave its band again. Without one that was out of its band, or where no point of one is of before the action, the verdict is
    inconclusive.
    """
    readings = tuple(after)
    old = {*there, *(opener.series for opener in openers), *series_at(readings, started_at)}
    new = tuple(reading for reading in readings if reading.series not in old)
    judged = [_metric(opener, _Later(readings, new, after_at), started_at, bounds) for opener in openers]
    metrics = tuple(metric for metric, _ in judged)
    counted = [verdict for _, verdict in judged if verdict is not None]
    worst = max(counted, key=ORDER.index) if counted else Verdict.INCONCLUSIVE
    return Judgement(worst, metrics)


def series_at(readings: Iterable[SeriesEvidence], at: Millis) -> frozenset[str]:
    """Return the series that show a point at or before this time: they did not begin after it."""
    return frozenset(reading.series for reading in readings if any(time <= at for time, _ in reading.points))


@dataclass(frozen=True, slots=True)
class _Later:
    """The readings of the record judged, those among them that began after the action, and from when on points count."""

    readings: tuple[SeriesEvidence, ...]
    new: tuple[SeriesEvidence, ...]
    at: Millis


def _metric(opener: SeriesEvidence, after_it: _Later, started_at: Millis, bounds: Bounds) -> tuple[MetricVerdict, Verdict | None]:
    """Return one metric's numbers and verdict; None: it was in its band before and still is, so what moved is ordinary.

    Points that are all of after `started_at` leave unknown how it was before: nothing is measured against them.
    """
    before = _before(opener, started_at, bounds.points)
    bad = _bad_direction(opener, opener.value if before is None else before)
    later = _later(opener, after_it, bounds.points, bad)
    after = median(later) if len(later) >= bounds.points else None
    improvement = None if before is None or after is None else improved(before, after, bad)
    in_band = bool(later) and all(_inside(value, opener, bad) for value in later)
    metric = MetricVerdict(
        series=opener.series,
        service=opener.service,
        metric=opener.metric,
        before=before,
        after=after,
        improvement=improvement,
        in_band=in_band,
        points=len(later),
    )
    if before is None or improvement is None:
        return metric, Verdict.INCONCLUSIVE
    if in_band and _inside(before, opener, bad):
        return metric, None
    return metric, _verdict(improvement, bounds, in_band=in_band)


def _before(opener: SeriesEvidence, started_at: Millis, points: int) -> float | None:
    """Return the median of the last points up to the start; None where all came after it. Without any point its value stands in."""
    earlier = [value for at, value in opener.points if at <= started_at][-points:]
    if earlier:
        return median(earlier)
    return None if opener.points else opener.value


def improved(before: float, after: float, bad: Direction) -> float:
    """Return the change against the bad direction as a share of |before|: 0.2 is 20 % better. From 0 any change is the whole."""
    gain = after - before if bad is Direction.DOWN else before - after
    if before == 0:
        return float((gain > 0) - (gain < 0))
    return max(-CAP, min(CAP, gain / abs(before)))


def _verdict(improvement: float, bounds: Bounds, *, in_band: bool) -> Verdict:
    if improvement >= bounds.success and in_band:
        return Verdict.SUCCESS
    if improvement >= bounds.partial:
        return Verdict.PARTIAL
    return Verdict.WORSE if improvement <= -bounds.worse else Verdict.NONE


def _bad_direction(opener: SeriesEvidence, before: float) -> Direction:
    """Return up or down: a metric that is bad both ways is bad on the side where it was."""
    if opener.direction in {Direction.UP, Direction.DOWN}:
        return opener.direction
    return Direction.UP if before >= opener.baseline else Direction.DOWN


def _inside(value: float, opener: SeriesEvidence, bad: Direction) -> bool:
    """Say whether a value is back in the band that held before the fault; beyond its good edge is no fault."""
    both = opener.direction not in {Direction.UP, Direction.DOWN}
    below = value <= opener.high or (bad is Direction.DOWN and not both)
    above = value >= opener.low or (bad is Direction.UP and not both)
    return below and above


def _later(opener: SeriesEvidence, after_it: _Later, points: int, bad: Direction) -> list[float]:
    """Return the last points of the same series that count, oldest first.

    A restart may end a series and begin another (its instance changed): then the worst new one of the same service, metric and kind.
    """
    own = max((_since(one, after_it.at) for one in after_it.readings if one.series == opener.series), key=len, default=[])
    if len(own) >= points:
        return own[-points:]
    alike = (opener.service, opener.metric, opener.kind)
    others = [_since(one, after_it.at)[-points:] for one in after_it.new if (one.service, one.metric, one.kind) == alike]
    full = [values for values in others if len(values) >= points]
    if not full:
        return own
    return min(full, key=median) if bad is Direction.DOWN else max(full, key=median)


def _since(reading: SeriesEvidence, after_at: Millis) -> list[float]:
    return [value for at, value in reading.points if at >= after_at]
