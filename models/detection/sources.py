"""Source partitions: what was taken from each, how far its event time has come, and how far all of them have.

The watermark of a source is its newest event time less the lateness; that of the partition is the least of the sources that are
not idle. A source is idle when ticks that far apart have passed without a row of it: ticks are records, so a replay agrees. When
all are idle, the watermark moves to the newest event time and no further: what came is judged, and what did not come is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from models.detection.packed import Ints


class Source(msgspec.Struct):
    mark: int = -1  # highest offset taken
    newest: int = 0  # event time
    heard: int = 0  # the first tick after its newest row; 0: none has come since
    idle: bool = False


@dataclass
class Sources:
    """By (topic, partition), numbered in the order in which they were first seen."""

    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    all: list[Source] = field(default_factory=list)
    tick: int = 0  # newest

    def number(self, topic: str, partition: int) -> int:
        key = topic, partition
        if key not in self.numbers:
            self.numbers[key] = len(self.all)
            self.all.append(Source())
        return self.numbers[key]

    def name(self, number: int) -> tuple[str, int]:
        return next(key for key, value in self.numbers.items() if value == number)

    def watermarks(self, number: int, at: Ints, lateness: int) -> Ints:
        """Return the partition's watermark after each of these rows of one source, and take note of them."""
        source = self.all[number]
        newest = np.maximum.accumulate(np.maximum(at, source.newest))
        others = [other.newest for i, other in enumerate(self.all) if i != number and other.newest and not other.idle]
        source.newest, source.heard, source.idle = int(newest[-1]), 0, False
        return np.minimum(newest, min(others)) - lateness if others else newest - lateness

    def pass_time(self, tick: int, idle_ms: int, lateness: int, window_ms: int) -> int | None:
        """Take a tick; return the watermark, None where there is none yet."""
        self.tick = max(self.tick, tick)
        known = [source for source in self.all if source.newest]
        for source in known:
            source.heard = source.heard or self.tick
            source.idle = source.idle or self.tick - source.heard >= idle_ms
        active = [source.newest for source in known if not source.idle]
        if active:
            return min(active) - lateness
        return max(source.newest for source in known) + window_ms if known else None

    @property
    def idle(self) -> int:
        return sum(source.idle for source in self.all)
