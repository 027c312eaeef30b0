"""One partition of one stage: its state, where it stands, and what is on the way to the broker. No Kafka, no clock."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from streams.harness import metrics
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison, Unfit
from streams.harness.snapshots import Snapshot
from streams.harness.stage import Output, Record, Stage

BACKFILL_HEADER = "airra.backfill"  # historical records: no ticks are written while they pass, and for a while after the last of them


class HoleError(Exception):
    """A record is missing between the state and the record in hand."""


@dataclass
class Part:
    """The fold of one partition."""

    partition: int
    state: Any
    offset: int  # the last record that the state holds
    saved: int  # the last record that the durable snapshot holds
    generation: int = 0  # of the last snapshot
    log: str = ""  # id of the log that `offset` counts in; "": the broker does not tell
    backfill: bool = False  # the last record was historical
    tick: int | None = None  # offset of the last tick written and not yet folded
    unacked: list[Awaitable[Any]] = field(default_factory=list)
    gaps: dict[int, int] = field(default_factory=dict)  # offsets that the log does not have: the first of them → the one after

    @property
    def dirty(self) -> bool:
        return self.offset != self.saved


def restore(stage: Stage[Any], partition: int, snapshot: Snapshot | None, beginning: int) -> Part:
    """Return the fold as of the snapshot, or an empty one that stands before the log's first record. Unfit: its format is not read."""
    if snapshot is None:
        return Part(partition, stage.restore(None), beginning - 1, beginning - 1)
    return Part(partition, stage.restore(_in_our_format(stage, snapshot)), snapshot.offset, snapshot.offset, snapshot.generation)


def _in_our_format(stage: Stage[Any], snapshot: Snapshot) -> bytes:
    if snapshot.format == stage.format:
        return snapshot.data
    if (convert := stage.reads.get(snapshot.format)) is None:
        ours = ", ".join(map(str, sorted({stage.format, *stage.reads})))
        raise Unfit(
            f"the state of {stage.name} was saved in format {snapshot.format}, and this release reads {ours}: run the release that saved "
            "it, and go from one release to another one step at a time (docs/adr/0007-versions.md). Nothing was changed"
        )
    return convert(snapshot.data)


def fold(stage: Stage[Any], part: Part, record: Record) -> Sequence[Output]:
    """Fold one record and return what it emits. A repeat changes nothing; poison becomes a dead letter; a hole raises."""
    if record.offset <= part.offset:
        return ()
    if (after := part.gaps.pop(part.offset + 1, None)) is not None:
        part.offset = after - 1  # only now: what was delivered before the gap has been folded
    if record.offset != part.offset + 1:
        raise HoleError(f"{record.topic}/{record.partition}: the state ends at {part.offset}, the record in hand is {record.offset}")
    try:
        outputs: Sequence[Output] = stage.apply(part.state, record, record.timestamp)
    except Poison as poison:
        metrics.POISON.labels(stage.name, poison.reason).inc()
        outputs = (dead_letter(record, stage.name, poison),)
    part.offset = record.offset
    part.backfill = (historical := record.header(BACKFILL_HEADER)) is not None
    if part.tick is not None and record.offset >= part.tick:
        part.tick = None
    return outputs if historical is None else [as_history(output, historical) for output in outputs]


def as_history(output: Output, mark: bytes = b"1") -> Output:
    """Mark what follows from history as history: it never proposes, and no tick is written while it passes."""
    marked = any(name == BACKFILL_HEADER for name, _ in output.headers)
    return output if marked else replace(output, headers=(*output.headers, (BACKFILL_HEADER, mark)))
