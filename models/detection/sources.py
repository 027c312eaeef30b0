"""Source partitions: what was taken from each, how far its event time has come, and how far all of them have.

The watermark of a source is its newest event time less its out-of-order buffer; that of the partition is the least of the sources that are
waited for. Whom not to wait for is decided at ticks alone: they are records, so a replay agrees, and how batches were cut plays no
part. A source is
- idle when ticks that far apart have passed without a row of it. When all are, and rows come again, those that fell silent together are
  waited for once more: it was what stands before them all that was away, and their rows come one source after the other;
- ahead when it claims times beyond wall time, as the tick tells it, while another source does not: the two agree that it is wrong.
  Its rows count at the newest time of the others. Where all are beyond the tick, the tick's writer may be what is wrong;
- lagging when rows of it come that are far behind the newest of those that are neither: late, each into the oldest open window.
A row from the future, which counts at its record's time, moves its source's watermark only where the source has nothing else: records
are written later than what they tell, much later after an outage, and one wrong clock would make everything beside it late. For the same
reason one that is ahead of its record by less than that counts at its own time, and moves the watermark no further than its record's.
A source that has only heartbeats here is not waited for either: it moves the watermark where no other does, and holds back nobody.
When nobody is waited for, the watermark moves to the newest event time and no further: what came is judged, what did not is not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from models.detection.admit_kernel import Times
from schemas.config.detect import DetectConfig

_FIRST_ROOM = 16


class Source(msgspec.Struct):
    """A source as a snapshot has it."""

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


_KEPT = Source.__struct_fields__
_FLAGS = ("fed", "idle", "ahead", "lagging")
# A source as compiled code takes it: that, and what is configured of its topic, in ms: its out-of-order buffer, how late a row may be.
SOURCE = np.dtype([(name, np.bool_ if name in _FLAGS else np.int64) for name in (*_KEPT, "buffer", "allowed")], align=True)


@dataclass
class Sources:
    """By (topic, partition), numbered in the order in which they were first seen."""

    config: DetectConfig
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    tick: int = 0  # newest
    _room: Any = field(default_factory=lambda: np.zeros(_FIRST_ROOM, SOURCE), repr=False)

    @classmethod
    def of(cls, config: DetectConfig, names: list[tuple[str, int]], known: list[Source], tick: int) -> Sources:
        """Return sources as a snapshot has them."""
        sources = cls(config, tick=tick)
        for name, source in zip(names, known, strict=True):
            sources._put(sources.number(*name), name[0], source)
        return sources

    @property
    def table(self) -> Any:
        """The rows of SOURCE, until one is added."""
        return self._room[: len(self.numbers)]

    @property
    def all(self) -> list[Source]:
        """Copies."""
        return [Source(**dict(zip(_KEPT, row, strict=True))) for row in self.table[list(_KEPT)].tolist()]

    def number(self, topic: str, partition: int) -> int:
        key = topic, partition
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            if len(self.numbers) > len(self._room):
                self._room = np.concatenate([self._room, np.zeros(len(self._room), SOURCE)])
            self._put(self.numbers[key], topic, Source())
        return self.numbers[key]

    def replace(self, topic: str, partition: int) -> None:
        """Give up one source for another, an idle one where there is one: what is repeated of it would count again."""
        table = self.table
        victim = min(range(len(table)), key=lambda number: (not table["idle"][number], table["newest"][number]))
        names = list(self.numbers)
        names[victim] = topic, partition
        self.numbers = dict(zip(names, range(len(names)), strict=True))
        self._put(victim, topic, Source(reached=int(table["reached"][victim])))  # rows of it may wait still

    def names(self) -> list[tuple[str, int]]:
        """Return the topic and partition of each number."""
        return list(self.numbers)

    def topics(self, rows: Any) -> Counter[str]:
        """Count rows (rows.ROW) by the topic they come from; one whose source had to make room counts as that which has its number."""
        numbers, counts = np.unique(rows["source"], return_counts=True)
        names, found = self.names(), Counter[str]()
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            found[names[number][0]] += count
        return found

    def times(self, now: int) -> Times:
        """Return what rows in a record of this time are held against."""
        config = self.config
        return Times(now, self.tick, round(config.idle_s * 1000), round(config.future_s * 1000), round(config.window_s * 1000))

    def _put(self, number: int, topic: str, source: Source) -> None:
        config = self.config
        self._room[number] = (*msgspec.structs.astuple(source), config.out_of_order_ms(topic), config.allowed_lateness_ms(topic))

    @property
    def believable(self) -> int:
        """Event time of a source whose own clock is ahead: that of the newest other, or the tick."""
        return max(self.tick, int(self.table["newest"][self._waited_for()].max(initial=0)))

    def _waited_for(self) -> Any:
        table = self.table
        return table["fed"] & ~(table["idle"] | table["ahead"] | table["lagging"])

    def compare(self, tick: int) -> list[int]:
        """Compare the sources with a tick and with each other; return the numbers of those newly found ahead."""
        max_lag = round(self.config.max_lag_s * 1000)
        self.tick, table = max(self.tick, tick), self.table
        newest, claimed, ahead = table["newest"], table["claimed"], table["ahead"]
        active = (newest != 0) & ~table["idle"]
        says = np.where(claimed != 0, claimed, newest)
        wrong = active & ((says > tick + max_lag) | (ahead & (claimed == 0)))
        new: list[int] = []
        if wrong.sum() < active.sum():
            new = np.flatnonzero(wrong & ~ahead).tolist()
            ahead[active] = wrong[active]
        agreeing = newest[active & ~ahead]
        reference = min(tick, int(agreeing.max()) if len(agreeing) else tick)
        behind = ~table["idle"] & ~ahead & (newest > 0) & (newest < reference - max_lag)
        table["lagging"] = behind & (table["lagging"] | (table["heard"] == 0))  # one that is silent may have been stopped with all
        claimed[:] = 0
        newest[new] = np.minimum(newest[new], self.believable)
        table["reached"][new] = newest[new]
        return new

    def pass_time(self, tick: int) -> int | None:
        """Take a tick; return the watermark, None where there is none yet."""
        self.tick, table = max(self.tick, tick), self.table
        known, idle_ms = table["newest"] != 0, round(self.config.idle_s * 1000)
        np.maximum(table["reached"], table["newest"], out=table["reached"], where=known)
        for column in (table["heard"], table["sound"]):
            column[known & (column == 0)] = self.tick
        table["idle"] |= known & (self.tick - table["heard"] >= idle_ms)
        if (mark := self.mark()) is not None:
            return mark
        return int(table["reached"][known].max()) + round(self.config.window_s * 1000) if known.any() else None

    @property
    def reached(self) -> int:
        """Return the newest event time (ms) at which any row counts."""
        return int(np.maximum(self.table["reached"], self.table["newest"]).max(initial=0))

    def mark(self) -> int | None:
        """Return the least watermark of those that are waited for, else of those that are not idle, if there are any."""
        table = self.table
        marks, known = table["newest"] - table["buffer"], table["newest"] != 0
        for chosen in (known & self._waited_for(), known & ~table["idle"]):
            if chosen.any():
                return int(marks[chosen].min())
        return None

    @property
    def idle(self) -> int:
        return int(self.table["idle"].sum())

    @property
    def lagging(self) -> int:
        return int(self.table["lagging"].sum())

    @property
    def ahead(self) -> int:
        return int(self.table["ahead"].sum())
