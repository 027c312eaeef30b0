"""Days of a system in which nothing is wrong: blocks of recorded seconds in random order, under a load that comes and goes, and deploys.

- Each service takes blocks of BLOCK_S recorded seconds at random, all of its series together, so that what goes together does so here.
- The load is that of a day (lowest at night, lower at week-ends) times peaks, with ramps. What goes with the load is multiplied by it, over
  the load of the recorded moment; counts are rounded at random, all buckets of a histogram alike. Latency is as it was recorded: one
  recording does not tell how it rises with the load beyond what was recorded.
- A deploy begins a service anew: nothing is heard of it for some seconds and `up` is 0, its counters begin at 0, its memory grows
  back, from a part of it and at a pace that each deploy draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cli.backtest.days.fitted import Bools, Fitted, Floats, Ints
from schemas.kinds import Kind

HOUR_S, DAY_S, WEEK_S = 3_600, 86_400, 7 * 86_400
CHUNK_S = 600
BLOCK_S = 30
NIGHT, WEEKEND = 0.4, 0.7  # how far the load of a day swings; how much of it is left at a week-end
PEAKS, PEAK_S, PEAK_MOST, RAMP_S = 3, (600, 3600), 1.5, 120  # a day; how long; at most so much more; up and down again
DEPLOYS = 1  # of each service, a day
AWAY_S = 3
COLD, WARM_S = (0.1, 0.9), (30.0, 7200.0)  # the memory of a process that has just begun, a share of the usual; how fast it comes back
_WEEKEND_BEGINS = 2 * DAY_S  # the epoch was a Thursday


@dataclass(frozen=True)
class Chunk:
    at: Ints  # (seconds,), s
    values: Floats  # (seconds, series)
    there: Bools  # what is heard


@dataclass
class Days:
    """`chunk` after `chunk`: a second at a time would cost as much as what is measured."""

    fitted: Fitted
    begin: int  # s
    seed: int = 1
    _total: Floats = field(init=False)
    _up_since: Floats = field(init=False)  # of each service, s
    _cold: Floats = field(init=False)  # and how cold it was then, and for how long
    _warm_s: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.seed)
        self._total = np.zeros(len(self.fitted.series))
        self._up_since = np.full(len(self.fitted.services), float(self.begin - DAY_S))
        self._cold, self._warm_s = np.full(len(self.fitted.services), COLD[1]), np.full(len(self.fitted.services), WARM_S[0])
        self._kinds = np.array([one.kind for one in self.fitted.series])

    def load(self, at: Ints) -> Floats:
        """Return the load at these moments: of the day, the week and its peaks, which are the same for the same seed."""
        usual = 1 + NIGHT * np.sin(2 * np.pi * (at % DAY_S / DAY_S - 0.25))
        into = (at - _WEEKEND_BEGINS) % WEEK_S
        usual *= 1 - (1 - WEEKEND) * np.clip(np.minimum(into, 2 * DAY_S - into) / HOUR_S, 0, 1)
        more = np.zeros(len(at))
        for day in np.unique(at // DAY_S).tolist():
            draw = np.random.default_rng((self.seed, day))
            for _ in range(PEAKS):
                begin, long, high = day * DAY_S + draw.uniform(0, DAY_S), draw.uniform(*PEAK_S), draw.uniform(0.3, PEAK_MOST)
                more = np.maximum(more, high * np.clip(np.minimum(at - begin, begin + long - at) / RAMP_S, 0, 1))
        found: Floats = usual * (1 + more)
        return found

    def deploys(self, at: Ints) -> list[tuple[int, int]]:
        """Return the deploys that begin at these moments: service, and second."""
        found = []
        for day in np.unique(at // DAY_S).tolist():
            draw = np.random.default_rng((self.seed, day, DEPLOYS))
            for service in range(len(self.fitted.services)):
                found += [(service, int(day * DAY_S + draw.integers(DAY_S - CHUNK_S))) for _ in range(DEPLOYS)]
        return [(service, second) for service, second in found if at[0] <= second <= at[-1]]

    def chunk(self, number: int) -> Chunk:
        """Return the seconds of the chunk of this number; in order, for counters go on."""
        fitted, draw = self.fitted, self._draw
        at = self.begin + number * CHUNK_S + np.arange(CHUNK_S)
        rows = np.empty((CHUNK_S, len(fitted.services)), np.int64)
        for service in range(len(fitted.services)):
            starts = draw.integers(0, len(fitted.steps) - BLOCK_S, CHUNK_S // BLOCK_S)
            rows[:, service] = (starts[:, None] + np.arange(BLOCK_S)).ravel()
        of = rows[:, fitted.service]
        steps = fitted.steps[of, np.arange(len(fitted.series))]
        steps = np.where(fitted.loaded, steps * (self.load(at)[:, None] / fitted.load[of]), steps)
        chance = draw.random((CHUNK_S, int(fitted.group.max()) + 1))[:, fitted.group]
        steps = np.where(fitted.whole & fitted.loaded, np.floor(steps + chance), steps)
        values = np.where(fitted.counts, self._total + np.cumsum(steps, axis=0), steps)
        there = np.ones(values.shape, np.bool_)
        for service, second in self.deploys(at):
            self._deploy(service, second, at, steps, values, there)
        self._warm(at, values)
        self._total = np.where(fitted.counts, values[-1], 0.0)
        return Chunk(at, values, there)

    def _deploy(self, service: int, second: int, at: Ints, steps: Floats, values: Floats, there: Bools) -> None:
        mine = np.flatnonzero(self.fitted.service == service)
        counts, first = mine[self.fitted.counts[mine]], second - int(at[0])
        values[first:, counts] = np.cumsum(steps[first:, counts], axis=0)
        away = slice(first, first + AWAY_S)
        up = self._kinds[mine] == Kind.UP
        values[away, mine[up]] = 0.0
        there[away, mine[~up]] = False
        self._up_since[service] = second
        self._cold[service] = self._draw.uniform(*COLD)
        self._warm_s[service] = np.exp(self._draw.uniform(*np.log(WARM_S)))

    def _warm(self, at: Ints, values: Floats) -> None:
        memory = np.flatnonzero(self._kinds == Kind.MEMORY)
        of = self.fitted.service[memory]
        age = at[:, None] - self._up_since[of]
        age[age < 0] = np.inf  # of the process before it
        values[:, memory] *= 1 - (1 - self._cold[of]) * np.exp(-age / self._warm_s[of])
