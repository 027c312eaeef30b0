"""History keeps its mark: what a producer marked with `airra.backfill` stays marked, and shares no batch with the live stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from schemas.topics import DLQ
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.stage import Output
from streams.normalise.reading import Read
from streams.normalise.times import Reach, of_history

MARK = (BACKFILL_HEADER, b"1")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Records of one source partition in a row that are all live, or all historical."""

    found: Read
    historical: bool

    def first(self, count: int) -> Stretch:
        return self if count == len(self.found.offsets) else Stretch(self.found.part(0, count), self.historical)

    def reach(self, now: int) -> Reach:
        return of_history(now) if self.historical else Reach(now)

    def marked(self, outputs: Iterable[Output]) -> Iterable[Output]:
        """Mark what comes of history; a dead letter has the original's own headers."""
        if not self.historical:
            return outputs
        return [output if output.topic == DLQ.name else replace(output, headers=(*output.headers, MARK)) for output in outputs]


def stretches(found: Read) -> Iterator[Stretch]:
    """Cut what was read where history and the live stream take turns."""
    marked = {index for index, of in found.headers.items() if any(name == BACKFILL_HEADER for name, _ in of)}
    if not marked:
        yield Stretch(found, historical=False)
        return
    for historical, run in groupby(range(len(found.values)), key=marked.__contains__):
        rows = list(run)
        yield Stretch(found.part(rows[0], rows[-1] + 1), historical)
