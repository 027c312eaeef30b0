"""Let the detector judge a series of a file, with the configuration as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cli.backtest.series import Series
from cli.settings import read_settings
from cli.wiring import configuration
from models.surprise.explain import EVENT_WORDS, because
from models.surprise.past import NOTHING, READING
from models.surprise.univariate import judge
from schemas.config.detect import DetectConfig
from schemas.config.score import ScoreConfig, ScoreRule
from schemas.samples import LARGEST


@dataclass(frozen=True)
class Judged:
    series: Series
    rule: ScoreRule
    readings: Any  # by row of the file
    taken: Any  # the rows that were judged, by number

    @property
    def without_value(self) -> int:
        return int(np.count_nonzero(~np.isfinite(self.series.value)))

    @property
    def not_later(self) -> int:
        """Return how many rows have a value and are no later than one before them."""
        return len(self.series.at) - len(self.taken) - self.without_value

    @property
    def clipped(self) -> int:
        """Return how many values are so large that they were judged as less."""
        return int(np.count_nonzero(np.abs(self.series.value[self.taken]) > LARGEST))

    def events(self) -> list[dict[str, Any]]:
        """Return what the detector would have told people, in order."""
        found = np.flatnonzero(self.readings["event"] != NOTHING).tolist()
        return [
            {
                "timestamp": self.series.stamps[row],
                "event": EVENT_WORDS[int(self.readings["event"][row])],
                "value": float(self.series.value[row]),
                "expected": round(float(self.readings["expected"][row]), 6),
                "score": round(float(self.readings["score"][row]), 3),
                "because": because(self.readings[row]),
            }
            for row in found
        ]


def detect_config() -> DetectConfig:
    found = configuration(read_settings(), "detect")
    if not isinstance(found, DetectConfig):
        raise TypeError("the names of configurations have changed")
    return found


def score_config() -> ScoreConfig:
    return detect_config().score


def judged(series: Series, config: ScoreConfig) -> Judged:
    """Judge a series; a row that the detector does not take repeats the state of the one before it, with the score 0."""
    rule, taken = config.of(series.name), np.flatnonzero(series.kept)
    readings = np.zeros(len(series.at), READING)
    readings[taken] = judge(series.at[taken], series.value[taken], rule)
    for row in np.flatnonzero(~series.kept).tolist():
        if row:
            readings[row]["alarmed"] = readings[row - 1]["alarmed"]
    return Judged(series, rule, readings, taken)
