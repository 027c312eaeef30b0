"""Source partitions: what was taken from each, how far its event time has come, and how far all of them have.

The watermark of a source is its newest event time less its out-of-order buffer; that of the partition is the least of the sources that are
waited for. Whom not to wait for is decided at ticks alone: they are records, so a replay agrees, and how batches were cut plays no
part. A source is
- idle when ticks that far apart have passed without a row of it,
- ahead when it claims times beyond wall time, as the tick tells it, while another source does not: the two agree that it is wrong.
  Its rows count at the newest time of the others. Where all are beyond the tick, the tick's writer may be what is wrong;
- lagging when it is far behind the newest that is neither: its rows come late, each into the oldest open window.
A row from the future, which counts at its record's time, moves its source's watermark only where the source has nothing else: records
are written later than what they tell, much later after an outage, and one wrong clock would make everything beside it late.
A source that has only heartbeats here is not waited for either: it moves the watermark where no other does, and holds back nobody.
When nobody is waited for, the watermark moves to the newest event time and no further: what came is judged, what did not is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from models.detection.admit_kernel import NOBODY, Came, Clock, Lead
from schemas.config.detect import DetectConfig


class Source(msgspec.Struct):
    mark: int = -1  # highest offset taken
    latest: int = 0  # newest event time of what was taken, as its rows have it; 0: not known
    newest: int = 0  # event time, of its watermark
    fed: bool = False  # it has had rows here
    heard: int = 0  # the first tick after its newest row; 0: none has come since
    idle: bool = False
    claimed: int = 0  # newest event time as its rows have it, since the last tick; 0: none
    ahead: bool = False
    lagging: bool = False
    reached: int = 0  # newest event time at which any of its rows counts
    sound: int = -1  # the first tick after its newest row that was not from the future; 0: none has come since, -1: no such row

    @property
    def waited_for(self) -> bool:
        return self.fed and not (self.idle or self.ahead or self.lagging)


@dataclass
class Sources:
    """By (topic, partition), numbered in the order in which they were first seen."""

    config: DetectConfig
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    all: list[Source] = field(default_factory=list)
    tick: int = 0  # newest

    def number(self, topic: str, partition: int) -> int:
        key = topic, partition
        if key not in self.numbers:
            self.numbers[key] = len(self.all)
            self.all.append(Source())
        return self.numbers[key]

    def replace(self, topic: str, partition: int) -> None:
        """Give up one source for another, an idle one where there is one: what is repeated of it would count again."""
        victim = min(range(len(self.all)), key=lambda number: (not self.all[number].idle, self.all[number].newest))
        names = list(self.numbers)
        names[victim] = topic, partition
        self.numbers = dict(zip(names, range(len(names)), strict=True))
        self.all[victim] = Source(reached=self.all[victim].reached)  # rows of it may wait still

    def name(self, number: int) -> tuple[str, int]:
        return next(key for key, value in self.numbers.items() if value == number)

    def clock(self, number: int, now: int) -> Clock:
        """Return what times of this source are held against in a record of this time."""
        believable = self.believable if self.all[number].ahead else NOBODY
        return Clock(now, round(self.config.future_s * 1000), believable)

    def lead(self, number: int) -> Lead:
        """Return how far this source, from which something has come, and the others are."""
        source, buffers = self.all[number], self._buffers()
        alone = source.sound < 0 or 0 < source.sound <= self.tick - round(self.config.idle_s * 1000)
        others = [other.newest - buffers[i] for i, other in enumerate(self.all) if i != number and other.waited_for]
        waited = source.fed and not (source.ahead or source.lagging)
        return Lead(source.newest, alone, buffers[number], min(others, default=NOBODY), waited)

    def came(self, number: int, came: Came) -> None:
        """Take note of what has come of one source."""
        source = self.all[number]
        source.newest, source.heard, source.idle = came.newest, 0, False
        source.reached, source.claimed = max(source.reached, came.reached), max(source.claimed, came.claimed)
        if came.sound:
            source.sound = 0

    def _buffers(self) -> list[int]:
        usual = self.config.out_of_order_ms("")
        return [self.config.out_of_order_ms(topic) if topic in self.config.sources else usual for topic, _ in self.numbers]

    @property
    def believable(self) -> int:
        """Event time of a source whose own clock is ahead: that of the newest other, or the tick."""
        return max([self.tick, *(source.newest for source in self.all if source.waited_for)])

    def compare(self, tick: int) -> list[int]:
        """Compare the sources with a tick and with each other; return the numbers of those newly found ahead."""
        max_lag = round(self.config.max_lag_s * 1000)
        self.tick = max(self.tick, tick)
        active = [(number, source) for number, source in enumerate(self.all) if source.newest and not source.idle]
        wrong = {number for number, source in active if _says(source) > tick + max_lag or (source.ahead and not source.claimed)}
        new: list[int] = []
        if len(wrong) < len(active):
            new = [number for number, source in active if number in wrong and not source.ahead]
            for number, source in active:
                source.ahead = number in wrong
        reference = min(tick, max((source.newest for _, source in active if not source.ahead), default=tick))
        for source in self.all:
            source.lagging = not source.idle and not source.ahead and 0 < source.newest < reference - max_lag
            source.claimed = 0
        for number in new:
            self.all[number].newest = min(self.all[number].newest, self.believable)
            self.all[number].reached = self.all[number].newest
        return new

    def pass_time(self, tick: int) -> int | None:
        """Take a tick; return the watermark, None where there is none yet."""
        self.tick = max(self.tick, tick)
        idle_ms = round(self.config.idle_s * 1000)
        known = [source for source in self.all if source.newest]
        for source in known:
            source.reached = max(source.reached, source.newest)
            source.heard, source.sound = source.heard or self.tick, source.sound or self.tick
            source.idle = source.idle or self.tick - source.heard >= idle_ms
        if (mark := self.mark()) is not None:
            return mark
        return max(source.reached for source in known) + round(self.config.window_s * 1000) if known else None

    def mark(self) -> int | None:
        """Return the least watermark of those that are waited for, else of those that are not idle, if there are any."""
        marks = [(source, source.newest - buffer) for source, buffer in zip(self.all, self._buffers(), strict=True) if source.newest]
        active = [mark for source, mark in marks if source.waited_for] or [mark for source, mark in marks if not source.idle]
        return min(active, default=None)

    @property
    def idle(self) -> int:
        return sum(source.idle for source in self.all)

    @property
    def lagging(self) -> int:
        return sum(source.lagging for source in self.all)

    @property
    def ahead(self) -> int:
        return sum(source.ahead for source in self.all)


def _says(source: Source) -> int:
    return source.claimed or source.newest
