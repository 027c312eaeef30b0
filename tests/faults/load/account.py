"""What became of every sample, read from the logs themselves: its row on airra.samples.v1, and detect's fold of those rows.

Nothing that AIRRA counts about itself is asked. A row that normalise repeats after a crash does not count twice: detect drops what is
at or below the mark of its source, and so does this account.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Consumer
from numpy.typing import NDArray

from schemas.samples import BATCH_HEADER, TYPE_HEADER, decode_batches
from schemas.topics import RAW_METRICS, SAMPLES, SIGNALS
from streams.harness.app import changelog_of
from streams.harness.snapshots import Snapshot, decode
from streams.harness.stage import Record, Stage
from tests.faults.ledger import ends, read_all
from tests.faults.poison.tally import messages

MOST = 255  # times that one row is counted


class Rows:
    """How often each raw record was passed on, after the marks of its sources; of one topic and its partitions."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self.times: dict[int, NDArray[np.uint8]] = {partition: np.zeros(size, np.uint8) for partition, size in sizes.items()}
        self._marks: dict[tuple[int, int], int] = {}  # by partition of the samples log, and source partition

    def take(self, partition: int, source: int, offsets: NDArray[np.uint64]) -> None:
        """Count a batch of a partition of airra.samples.v1."""
        mark = self._marks.get((partition, source), -1)
        fresh = offsets[offsets.astype(np.int64) > mark].astype(np.int64)
        if len(fresh):
            self._marks[partition, source] = int(fresh.max())
            again = self.times[source]
            places, counts = np.unique(fresh, return_counts=True)
            again[places] = np.minimum(again[places].astype(np.int64) + counts, MOST)

    @property
    def lost(self) -> int:
        return sum(int((times == 0).sum()) for times in self.times.values())

    @property
    def doubled(self) -> int:
        return sum(int((times.astype(np.int64) - 1).clip(0).sum()) for times in self.times.values())


@dataclass
class Fold:
    """A linear fold of the samples log: signals by id, those among them that are due, and whether each saved state is the folded one.

    Due is what the stage had folded when it saved for the last time; what it has folded since may stand on the log of signals, too.
    """

    stage: Stage[Any]
    saved: dict[int, Snapshot]
    signals: dict[str, bytes] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    _states: dict[int, Any] = field(default_factory=dict)
    _alike: set[int] = field(default_factory=set)

    def take(self, record: Record) -> None:
        partition = record.partition
        state = self._states.setdefault(partition, self.stage.restore(None))
        saved = self.saved.get(partition)
        for output in self.stage.apply(state, record, record.timestamp):
            name = json.loads(output.value)["id"]
            self.signals[name] = output.value
            if saved is not None and record.offset <= saved.offset:
                self.due.add(name)
        if saved is not None and record.offset == saved.offset and self.stage.snapshot(state) == saved.data:
            self._alike.add(partition)

    def differing(self) -> list[str]:
        """Return the partitions whose saved state is another than the folded one."""
        other = sorted(set(self.saved) - self._alike)
        return [f"detect's state of partition {partition} is not what a linear replay gives" for partition in other]


@dataclass(frozen=True)
class Account:
    samples: int
    lost: int
    doubled: int
    wrong: int  # signals that no replay gives
    equal: bool
    failed: tuple[str, ...] = ()


def account(bootstrap: str, stage: Stage[Any]) -> Account:
    """Read the samples log once: each raw sample in one row, and detect's state and signals those of a linear replay.

    `stage` is detect as its role runs it; the role has stopped.
    """
    sizes = _sizes(bootstrap)
    rows, fold = Rows(sizes), Fold(stage, saved_states(bootstrap, stage))
    for record in samples_log(bootstrap):
        fold.take(record)
        if record.header(TYPE_HEADER) == b"samples":
            for source, batch in decode_batches(record.value, record.header(BATCH_HEADER)).parts():
                rows.take(record.partition, source.partition, batch.offset)
    missing, strange = compared(fold.signals, fold.due, _signals(bootstrap))
    failed = [*fold.differing(), *([f"{missing} signals of the replay are not on their log"] if missing else [])]
    if set(fold.saved) != set(_sizes(bootstrap, SAMPLES.name)):
        failed.append(f"detect has saved {len(fold.saved)} partitions")
    return Account(sum(sizes.values()), rows.lost, rows.doubled, strange, not fold.differing(), tuple(failed))


def compared(wanted: dict[str, bytes], due: set[str], seen: dict[str, set[bytes]]) -> tuple[int, int]:
    """Return how many signals that are due are missing, and how many are of no such id or say something else."""
    strange = sum(1 for name, values in seen.items() if values != {wanted.get(name, b"")})
    return len(due - seen.keys()), strange


def samples_log(bootstrap: str) -> Iterator[Record]:
    for message in messages(bootstrap, SAMPLES.name):
        headers = tuple((name, value) for name, value in message.headers() or ())
        stamp, value = message.timestamp()[1], message.value() or b""
        yield Record(SAMPLES.name, message.partition(), message.offset(), stamp, message.key(), value, headers)


def saved_states(bootstrap: str, stage: Stage[Any]) -> dict[int, Snapshot]:
    """Return the last durable state of each partition, read as a recovery reads it."""
    table = {record.key: record.value for record in read_all(bootstrap, changelog_of(stage.name)) if record.key is not None}
    found = {partition: decode(table, partition) for partition in _sizes(bootstrap, SAMPLES.name)}
    return {partition: snapshot for partition, snapshot in found.items() if snapshot is not None}


def _signals(bootstrap: str) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = defaultdict(set)
    for value in _of_detect(bootstrap):
        found[json.loads(value)["id"]].add(value)
    return found


def _of_detect(bootstrap: str) -> Iterable[bytes]:
    kinds = {b"anomaly", b"health"}
    return (message.value() for message in messages(bootstrap, SIGNALS.name) if dict(message.headers() or ()).get(TYPE_HEADER) in kinds)


def _sizes(bootstrap: str, topic: str = RAW_METRICS.name) -> dict[int, int]:
    settings = {"bootstrap.servers": bootstrap, "group.id": "account", "enable.auto.commit": False, "log_level": 0}
    with contextlib.closing(Consumer(settings)) as consumer:
        return {partition: following for partition, (_, following) in ends(consumer, topic).items()}
