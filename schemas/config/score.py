"""How improbable a point must be, and how its series' past is remembered: the `score` of config/detect.yaml."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from schemas.base import Strict, countable


class Weights(Strict):
    """How much each channel counts in the harmonic mean of their probabilities."""

    innovation: float = Field(1.0, gt=0)  # what the forecast and the residual before it did not foretell
    residual: float = Field(0.5, ge=0)  # what the forecast did not foretell
    level: float = Field(0.1, ge=0)  # where the series lately is
    shift: float = Field(0.1, ge=0)  # where it lately is above the day's profile: slow leaks
    variation: float = Field(0.1, ge=0)  # how much it moves between two points: noise that grows, lines that go flat


class ScoreRule(Strict):
    """Counts and spans are points, so that a series of any interval is treated alike; surprises are -log10 of a probability."""

    half_life: float = Field(3000.0, ge=10)  # of what is usual in each channel, its center and scale
    memory: float = Field(5000.0, ge=100)  # of the histograms
    prior: float = Field(10.0, gt=0)  # points' worth that a tail of Student's t is believed, before more was seen
    freedom: float = Field(4.0, gt=1)  # its degrees of freedom
    clip: float = Field(3.0, gt=0)  # scales: what is further out moves center and scale no more than that
    warm_up: int = Field(50, ge=10)  # points before a channel says anything
    profile_rate: float = Field(0.2, gt=0, le=1)  # of a season's slot, a visit
    level_rate: float = Field(0.02, gt=0, le=1)  # of the level, a point
    carried: float = Field(0.5, ge=0, le=1)  # share of what a residual says of the next that is taken off
    variation_span: float = Field(48.0, ge=2)
    burst_span: float = Field(4.0, ge=1)
    burst_most: float = Field(4.0, gt=0)  # surprise of one point that counts in a burst
    error_memory_s: float = Field(604_800.0, gt=0)  # over which the errors of a season's forecasts are averaged: a week, for its week-ends
    season_gain: float = Field(0.8, gt=0)  # a season's squared error is this times the level's or less, to count as much
    season_power: float = Field(8.0, gt=0)  # how sharply the better forecast is preferred
    visits: int = Field(50, ge=2)  # points that a season was judged by before it foretells
    weights: Weights = Weights()
    habit_half_life: float = Field(300.0, gt=0)  # points after which half of a surprise counts as usual no more
    habit_margin: float = Field(0.3, ge=0)  # a surprise so much larger than what one is used to is news as a whole
    habit_most: float = Field(4.0, gt=0)
    threshold: float = Field(2.42, gt=0)  # news for a score of 0.5
    alarm: float = Field(3.3, gt=0)  # news, or a burst's surprise, for an alarm, of points that are spaced_s apart;
    spaced_s: float = Field(300.0, gt=0)  # where they come k times as often, log10(k) more: the same number of false alarms a week
    lasting_points: int = Field(5, ge=1)  # after a point of score 0.5, so many outside the band in a row are an alarm as well
    lasting_most: float = Field(2.0, gt=0)  # but not where there were so many within lasting_memory points: it does that
    lasting_memory: float = Field(10_000.0, ge=1)
    calm: float = Field(1.0, gt=0)  # surprise: below it, and inside the band, a point is calm;
    calm_points: int = Field(5, ge=1)  # so many in a row end the alarm
    band: float = Field(4.0, gt=0)  # scales around what was expected before the alarm, and wider where more is usual:
    rare: float = Field(0.002, gt=0, lt=1)  # further out is rarer than this
    release_s: float = Field(86_400.0, gt=0)  # an alarm that lasts so long ends: what it was about is the new normal
    drift_delta: float = Field(0.5, ge=0)  # scales: so much of an hour's distance from the day before is no drift
    drift_threshold: float = Field(20.0, gt=0)  # scales, added up over hours
    stuck_points: int = Field(30, ge=2)  # equal values in a row, and three times as many as is usual: a line that is stuck
    silence_intervals: float = Field(3.0, ge=1)  # without a point for so many, and for longer than the longest gap of late: missing


class _Series(Strict):
    """What holds for some series, as a whole: a mistake in it has the place at which it stands in the file."""

    series: dict[str, ScoreRule]


def _flat(own: dict[str, Any]) -> dict[str, Any]:
    if "series" in own:
        raise ValueError("what differs for some series has no series in it: put it beside the others")
    return own


_Own = Annotated[dict[str, Annotated[Any, AfterValidator(countable)]], AfterValidator(_flat)]


class ScoreConfig(ScoreRule):
    """What holds for all series, and what differs for some."""

    series: dict[str, _Own] = Field(default_factory=dict)  # {"*_cpu": {alarm: 4}}: by name, * and ? allowed; the first that fits

    @model_validator(mode="after")
    def _overrides(self) -> ScoreConfig:
        _Series.model_validate({"series": {name: self._with(own) for name, own in self.series.items()}})
        return self

    def of(self, name: str) -> ScoreRule:
        """Return what holds for a series of this name."""
        own = next((own for pattern, own in self.series.items() if fnmatchcase(name, pattern)), {})
        return ScoreRule.model_validate(self._with(own))

    def _with(self, own: dict[str, Any]) -> dict[str, Any]:
        usual = self.model_dump(exclude={"series"})
        if isinstance(weights := own.get("weights"), dict):
            own = own | {"weights": usual["weights"] | weights}
        return usual | own
