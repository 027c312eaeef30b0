"""What /metrics said at two moments, and what lies between them: increases, rates, quantiles. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

STARTED = "process_start_time_seconds"

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reading:
    """All samples of one role at one moment, by name and labels. `at_s` is of a clock that goes on evenly."""

    at_s: float
    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def total(self, name: str) -> float | None:
        """Return the sum over all series of this name; None where there is none."""
        found = self.samples.get(name)
        return sum(found.values()) if found else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums by the values of one label."""
        return _by(self.samples.get(name, {}), label)


def parse(text: str, at_s: float) -> Reading:
    """Read Prometheus' text format; raise ValueError where it is none."""
    samples: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return Reading(at_s, dict(samples))


@dataclass(frozen=True, slots=True)
class Between:
    """What happened between two readings of a role."""

    before: Reading
    after: Reading

    @property
    def seconds(self) -> float:
        return self.after.at_s - self.before.at_s

    def increases(self, name: str) -> dict[Labels, float]:
        """Return by how much each series of a counter rose. One that fell began anew, and has risen to where it is since."""
        anew = self.before.total(STARTED) != self.after.total(STARTED)
        earlier: Mapping[Labels, float] = {} if anew else self.before.samples.get(name, {})
        result = {}
        for labels, value in self.after.samples.get(name, {}).items():
            known = earlier.get(labels, 0.0)
            result[labels] = value - known if value >= known else value
        return result

    def rate(self, name: str) -> float | None:
        """Return the rise in a second, over all series; None where there is none."""
        found = self.increases(name)
        return sum(found.values()) / self.seconds if found else None

    def rates(self, name: str, label: str) -> dict[str, float]:
        """Return the rises in a second by the values of one label, where there was any."""
        return {key: value / self.seconds for key, value in _by(self.increases(name), label).items() if value > 0}


def buckets(found: Mapping[Labels, float]) -> list[tuple[float, float]]:
    """Return a histogram's cumulative counts by upper bound, rising, over all its series."""
    return sorted((float(bound), count) for bound, count in _by(found, "le").items())


def quantile(q: float, cumulative: list[tuple[float, float]]) -> float | None:
    """Estimate a quantile as Prometheus' histogram_quantile does: evenly spread within a bucket; None where nothing was observed.

    What lies beyond the last finite bound is taken for that bound.
    """
    if not cumulative or cumulative[-1][1] <= 0:
        return None
    rank = q * cumulative[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in cumulative:
        if count >= rank and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _by(found: Mapping[Labels, float], label: str) -> dict[str, float]:
    result: defaultdict[str, float] = defaultdict(float)
    for labels, value in found.items():
        result[dict(labels).get(label, "")] += value
    return dict(result)
