"""What has been read and not yet flushed: add records, flush, forget. Pure but for the store that a flush writes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.stage import Output, Record
from streams.sink.rows import Fate, Row, fold
from streams.sink.store import Store

STAGE = "sink"


@dataclass(slots=True)
class Batch:
    """Records in hand, each with its one fate; bounded by its caller."""

    entries: list[tuple[Record, tuple[Row, ...]]] = field(default_factory=list)
    letters: list[Output] = field(default_factory=list)
    fates: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    following: dict[tuple[str, int], int] = field(default_factory=dict)  # the next offset of each partition: what a commit says
    records: int = 0

    @property
    def worth_flushing(self) -> bool:
        """Tell whether there is anything to write: ticks and copies alone only move offsets."""
        return bool(self.entries or self.letters)

    def add(self, record: Record) -> Fate:
        """Take one record in; an unreadable one becomes a dead letter and stops nothing."""
        try:
            folded = fold(record)
        except Poison as poison:
            fate = self._bury(record, poison)
        else:
            fate = folded.fate
            if folded.rows:
                self.entries.append((record, folded.rows))
        self.records += 1
        self.fates[record.topic, fate] += 1
        self.following[record.topic, record.partition] = record.offset + 1
        return fate

    def write(self, store: Store) -> Counter[str]:
        """Insert the rows and return how many each table got; raises Retryable, after which it may be called again.

        A value that no column can hold is found record by record: its record becomes a dead letter, the others are stored.
        """
        if not self.entries:
            return Counter()
        try:
            return Counter(store.insert(row for _, rows in self.entries for row in rows))
        except Poison:
            return self._write_one_by_one(store)

    def _write_one_by_one(self, store: Store) -> Counter[str]:
        written: Counter[str] = Counter()
        for record, rows in list(self.entries):
            try:
                written.update(store.insert(rows))
            except Poison as poison:
                self.entries.remove((record, rows))
                self.fates[record.topic, Fate.STORED] -= 1
                self.fates[record.topic, self._bury(record, poison)] += 1
        return written

    def _bury(self, record: Record, poison: Poison) -> Fate:
        self.letters.append(dead_letter(record, STAGE, poison))
        return Fate.DEAD
