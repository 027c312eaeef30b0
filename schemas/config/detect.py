"""config/detect.yaml: how far a series of each kind must leave its own baseline, and for how long, to be anomalous."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from schemas.base import Strict
from schemas.config.score import ScoreConfig
from schemas.kinds import Kind

MAX_POINTS = 16  # of history bits and kept points: M of N windows cannot look back further


def _m_of_n(value: tuple[int, int]) -> tuple[int, int]:
    m, n = value
    if not 1 <= m <= n <= MAX_POINTS:
        raise ValueError(f"[M, N] with 1 <= M <= N <= {MAX_POINTS}")
    return value


def _positive(value: dict[str, float]) -> dict[str, float]:
    if any(not floor > 0 for floor in value.values()):
        raise ValueError("an absolute floor is above 0: a flat series would divide by nothing")
    return value


Hits = Annotated[tuple[int, int], AfterValidator(_m_of_n)]  # M of the last N points
Floors = Annotated[dict[str, float], AfterValidator(_positive)]  # by unit; "" stands for every other unit


class KindRule(Strict):
    """One kind's floors and hysteresis. A departure counts from max(sigma · scale, relative · |baseline|, absolute) on."""

    opens: bool = False  # true: a departure is harm, and its service is watched closely; false: context, recorded only
    relative: float = Field(0.5, ge=0)  # share of the baseline
    absolute: Floors = Field(default_factory=dict)
    enter: Hits = (3, 4)  # beyond the band
    alone: Hits = (15, 16)  # the same for a p95 whose p50 stays inside its band
    leave: Hits = (5, 6)  # well inside it
    settle_s: float = Field(0, ge=0)  # after a restart of the instance nothing is judged: a cold cache is no fault
    release_s: float | None = Field(None, gt=0)  # a departure of context that lasts longer slowly becomes the baseline; harm never does

    @model_validator(mode="after")
    def _harm_is_not_learned(self) -> KindRule:
        if self.opens and self.release_s is not None:
            raise ValueError("release_s is for kinds that open nothing: a lasting fault never becomes ordinary by time alone")
        return self

    def floor(self, unit: str) -> float:
        """Return the absolute floor in this unit; a speck where the file names none, so that a flat series has a scale."""
        return self.absolute.get(unit, self.absolute.get("", 1e-9))


class SeriesRule(Strict):
    """What differs for some series, whatever their kind; what is not said is as their kind has it."""

    relative: float | None = Field(None, ge=0)
    absolute: Floors = Field(default_factory=dict)
    enter: Hits | None = None
    alone: Hits | None = None
    leave: Hits | None = None
    settle_s: float | None = Field(None, ge=0)

    def of(self, rule: KindRule) -> KindRule:
        """Return the rule of a kind with what differs."""
        own = {name: value for name, value in self.model_dump(exclude={"absolute"}).items() if value is not None}
        return rule.model_copy(update=own | {"absolute": rule.absolute | self.absolute})


COMBINED = KindRule(opens=True, relative=0.5, absolute={"": 6.0}, enter=(3, 4), leave=(2, 3))  # where a file does not say


class RestartRule(Strict):
    """Restarts of one instance: counters that begin anew, or `up` that falls. A single one is never an anomaly."""

    window_s: float = Field(60, gt=0)
    count: int = Field(3, ge=2, le=6)
    quick_window_s: float = Field(20, gt=0)
    quick_count: int = Field(2, ge=2, le=6)  # falls of `up` in the quick window that count as a loop already


class SourceRule(Strict):
    """What differs for the partitions of one raw topic."""

    out_of_order_s: float | None = Field(None, ge=0)
    allowed_lateness_s: float | None = Field(None, ge=0)


class DetectConfig(Strict):
    """Durations in seconds of event time, unless they say otherwise."""

    sigma: float = Field(3.0, gt=0)  # AIRRA_ANOMALY_THRESHOLD_SIGMA overrides it
    leave_share: float = Field(0.67, gt=0, le=1)  # of sigma: below it a point is well inside
    window_s: float = Field(1.0, ge=0.1, le=60)
    out_of_order_s: float = Field(1.0, ge=0)  # the out-of-order buffer: a source's watermark is its newest time less this
    allowed_lateness_s: float = Field(604_800, ge=0)  # behind the windows that are closed; a row that comes later is not used
    idle_s: float = Field(10.0, gt=0)  # of ticks without a row: the watermark no longer waits for that source
    future_s: float = Field(5.0, ge=0)  # further ahead of its record's time a row is taken at that time
    sources: dict[str, SourceRule] = Field(default_factory=dict)  # by raw topic, where it differs
    max_lag_s: float = Field(30.0, gt=0)  # nor for a source so far behind the newest, or so far ahead of the ticks
    history_points: int = Field(60, ge=10, le=1000)  # of the baseline
    history_s: float = Field(300, gt=0)  # that those points are spread over once there are so many
    min_history: int = Field(30, ge=3)  # points before anything is judged
    anchor_half_life_s: float = Field(3600, gt=0)  # of the slow mean beside the baseline
    anchor_bands: float = Field(2.5, ge=1)  # beyond so many bands of that mean alone harm is a departure
    quantile_count: int = Field(10, ge=1)  # observations behind one p95, and its p50
    tail_count: int = Field(50, ge=0)  # behind one p99, which is told and never judged; 0: there is none
    ratio_count: int = Field(20, ge=1)  # requests behind one error ratio
    pooled_s: float = Field(10.0, gt=0)  # so long they are gathered; then half as many will do
    continued_s: float = Field(10.0, gt=0)
    health_s: float = Field(10.0, ge=0.1)
    health_watched_s: float = Field(5.0, ge=0.1)  # of services with an opening kind anomalous now or lately
    recent_s: float = Field(600, ge=0)
    health_series: int = Field(8, ge=1)
    points: int = Field(10, ge=1, le=MAX_POINTS)
    points_calm: int = Field(3, ge=0, le=MAX_POINTS)  # of a service where nothing is anomalous
    silence_s: float = Field(5.0, gt=0)  # the shortest silence that is one
    silence_intervals: float = Field(3.0, ge=1)
    forget_s: float = Field(900, gt=0)  # the past of a series that was silent for so long is given up, unless something is open on it
    restarts: RestartRule = RestartRule()
    max_series: int = Field(100_000, ge=10)  # a partition: raw series; the longest silent make room, else new ones are not taken
    max_series_per_source: int = Field(100_000, ge=1)  # a partition: of them those of one raw topic, or of one writer to the API
    max_values_per_label: int = Field(50_000, ge=1)  # a partition: of one label in what one source sends
    max_sources: int = Field(4_096, ge=1, le=32_767)  # a partition: source partitions; idle ones make room
    max_buckets: int = Field(64, ge=2, le=512)  # of one histogram
    max_leaks: int = Field(2_000, ge=1)  # a partition: metrics of services whose hourly means of a week, and seasons, are kept
    max_pending: int = Field(1_000_000, ge=1000)  # rows that wait for their window to close
    score: ScoreConfig = Field(default_factory=ScoreConfig)
    combined_release_s: float = Field(3600, gt=0)  # what lasts inside the bands is learned after so long: it is the new normal
    kinds: dict[Kind, KindRule]  # each but combined, which has a default
    series: dict[str, SeriesRule] = Field(default_factory=dict)  # by service/metric, * and ? allowed; the first that fits
    _rules: dict[str, dict[Kind, KindRule]] = PrivateAttr(default_factory=dict)
    _names: re.Pattern[str] | None = PrivateAttr(None)
    _order: tuple[str, ...] = PrivateAttr(())

    def named(self, service: str, metric: str) -> str:
        """Return the name in `series` that a derived series goes by; "" where none fits."""
        found = self._names.fullmatch(f"{service}/{metric}") if self._names is not None else None
        return self._order[int(found.lastgroup[1:])] if found is not None and found.lastgroup is not None else ""

    def rule(self, kind: Kind, name: str) -> KindRule:
        """Return what holds for a series of this kind that goes by this name."""
        return self._rules[name][kind] if name else self.kinds[kind]

    def out_of_order_ms(self, topic: str) -> int:
        """Return how far rows of this raw topic may be out of order."""
        own = self.sources[topic].out_of_order_s if topic in self.sources else None
        return round(1000 * (self.out_of_order_s if own is None else own))

    def allowed_lateness_ms(self, topic: str) -> int:
        """Return how far behind the closed windows a row of this raw topic is still used."""
        own = self.sources[topic].allowed_lateness_s if topic in self.sources else None
        return round(1000 * (self.allowed_lateness_s if own is None else own))

    @field_validator("series")
    @classmethod
    def _two_names(cls, value: dict[str, SeriesRule]) -> dict[str, SeriesRule]:
        if wrong := next((name for name in value if "/" not in name), None):
            raise ValueError(f"{wrong!r} is no service/metric")
        return value

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, value: Any) -> Any:
        if isinstance(value, dict) and "lateness_s" in value:
            raise ValueError("lateness_s is out_of_order_s now; allowed_lateness_s is how late a row may come and still be used")
        return value

    @model_validator(mode="after")
    def _complete(self) -> DetectConfig:
        self.kinds.setdefault(Kind.COMBINED, COMBINED)
        if missing := sorted(set(Kind) - set(self.kinds)):
            raise ValueError(f"kinds lacks {', '.join(missing)}")
        self._rules = {name: {kind: own.of(rule) for kind, rule in self.kinds.items()} for name, own in self.series.items()}
        self._order = tuple(self.series)
        each = [f"(?P<n{number}>{translate(name.replace('[', '[[]'))})" for number, name in enumerate(self._order)]
        self._names = re.compile("|".join(each)) if each else None
        if self.min_history > self.history_points:
            raise ValueError("min_history is above history_points: nothing would ever be judged")
        if self.anchor_half_life_s < self.history_s:
            raise ValueError("anchor_half_life_s is below history_s: the anchor would be no slower than the baseline beside it")
        if any(round(every * 1000) % round(self.window_s * 1000) for every in (self.health_s, self.health_watched_s)):
            raise ValueError("health_s and health_watched_s are multiples of window_s")
        if round(self.health_s * 1000) % round(self.health_watched_s * 1000):
            raise ValueError("health_s is a multiple of health_watched_s: the two share their moments")
        return self
