"""What each raw label text means, remembered: decoding labels once a series instead of once a sample is what makes normalise fast.

Two generations stand in for an LRU list, which would cost a write on every hit: what was used since the last turn is young; at a
turn the old ones are forgotten and counted. A text has a slot, an index into NumPy arrays, so that a batch needs no objects. What
series mean is kept in compressed pages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from models.arrays import longer
from models.pages import Pages
from schemas.samples import SeriesDef, encode_series, pack_series, unpack_series
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.port import Described
from streams.normalise.jsons import unique_labels
from streams.normalise.partitioner import partition_of
from streams.normalise.series import NAME, Resolver, Unmapped

CAPACITY = 1_250_000  # label texts
CAPACITY_BYTES = 768 * 1024 * 1024  # of texts and definitions, for one may be 64 kB long: some 1,300,000 of usual length
EACH_BYTES = 400  # what a text costs beside itself and its definition, here and in the tables that lead here
SERVICES = 10_000  # whose partitions are remembered; it is the hash of the name
NOWHERE = -1  # in place of a partition: refused
UNMAPPED = -2  # the same: of a metric that no rule names

_NEEDS_NAME = -1  # in place of a slot: these labels lack __name__, so the message's own name is part of the key

Meaning = SeriesDef | Unmapped | Rejection


class SeriesCache:
    """`young.get(raw)` is the hot path, inlined by the decoder; a negative or missing slot is settled by `find`."""

    def __init__(self, resolver: Resolver, partitions: int, capacity: int = CAPACITY) -> None:
        if capacity < 2:
            raise ValueError("a cache of at least two texts")
        self._resolver = resolver
        self._half = capacity // 2
        self._young_bytes = self._old_bytes = 0
        self.young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._free: list[int] = []
        self._slots = 0
        self._series: Pages[SeriesDef] = Pages(pack_series, unpack_series)  # by slot
        self._others: dict[int, Unmapped | Rejection] = {}  # the same, of texts that mean no series
        self._partition_of = lru_cache(SERVICES)(partial(partition_of, partitions=partitions))
        self.ids: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.partition: NDArray[np.int64] = np.zeros(0, np.int64)
        self.announced: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.again: NDArray[np.int64] = np.zeros(0, np.int64)  # when what was announced is told again: this host's clock, ms
        self.source = ""  # where what is read now comes from: of a new series
        self.evicted = 0
        self.turns = 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def turn(self) -> None:
        """Forget what was not used for a generation. Between batches only: slots that a batch holds must stay its own.

        Where all texts in use have room, nothing is forgotten: else each would be resolved anew in turn.
        """
        full = len(self.young) >= self._half and len(self) >= 2 * self._half
        heavy = self._young_bytes >= CAPACITY_BYTES // 2 and self._young_bytes + self._old_bytes >= CAPACITY_BYTES
        if not (full or heavy):
            return
        for slot in self._old.values():
            if slot >= 0:
                if self._others.pop(slot, None) is None:
                    del self._series[slot]
                self._free.append(slot)
        self.evicted += len(self._old)
        self.young, self._old = {}, self.young
        self._young_bytes, self._old_bytes = 0, self._young_bytes
        self.turns += 1

    def find(self, raw: bytes, name: str) -> int:
        """Return the slot of a text that is not young, or whose labels need the message's name."""
        slot = self._get(raw, lambda: self._resolve(raw, ""))
        if slot != _NEEDS_NAME:
            return slot
        key = name.encode() + b"\x00" + raw  # no JSON text holds a NUL: never mistaken for another's labels
        return self._get(key, lambda: self._resolve(raw, name))

    def slot_of(self, key: bytes, describe: Callable[[], Described]) -> int:
        """Return the slot of a key of a format; a key that was never seen is described."""
        slot = self.young.get(key)
        return self._get(key, lambda: self._described(describe)) if slot is None else slot

    def meaning(self, slot: int) -> Meaning:
        other = self._others.get(slot)
        return self._series[slot] if other is None else other

    def told(self, slot: int) -> bytes:
        """Return the definition of a series as it is told."""
        found = self.meaning(slot)
        if not isinstance(found, SeriesDef):
            raise TypeError(f"slot {slot} is of no series")
        return encode_series([found])

    def _get(self, key: bytes, make: Callable[[], Meaning | None]) -> int:
        slot = self.young.get(key)
        if slot is None:
            slot = self._old.pop(key, None)
            if slot is None:
                meaning = make()
                slot = _NEEDS_NAME if meaning is None else self._take(meaning)
            else:
                self._old_bytes -= _bytes(key)
            self.young[key] = slot
            self._young_bytes += _bytes(key)
        return slot

    def _resolve(self, raw: bytes, name: str) -> Meaning | None:
        """Return what the labels mean, None where they mean nothing without a name."""
        try:
            labels = labels_of(raw, name)
            return None if labels is None else self._resolver.resolve(Described(labels), self.source)
        except Rejected as refused:
            return refused.rejection

    def _described(self, describe: Callable[[], Described]) -> Meaning:
        try:
            return self._resolver.resolve(describe(), self.source)
        except Rejected as refused:
            return refused.rejection

    def _take(self, meaning: Meaning) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._slots
            self._slots += 1
            if slot >= len(self.ids):
                self._grow(max(1024, 2 * slot))
        self.announced[slot] = False
        if isinstance(meaning, SeriesDef):
            self._series[slot] = meaning
            self.ids[slot] = meaning.id
            self.partition[slot] = self._partition_of(meaning.service)
        else:
            self._others[slot] = meaning
            self.ids[slot] = 0
            self.partition[slot] = UNMAPPED if isinstance(meaning, Unmapped) else NOWHERE
        return slot

    def _grow(self, size: int) -> None:
        self.ids, self.partition = longer(self.ids, size), longer(self.partition, size)
        self.announced, self.again = longer(self.announced, size), longer(self.again, size)


def _bytes(key: bytes) -> int:
    return EACH_BYTES + 2 * len(key)  # once more for what it means, which repeats its labels


def labels_of(raw: bytes, name: str) -> dict[str, str] | None:
    """Return the labels of a JSON text, `name` being what they may lack; None where nothing names the metric."""
    labels = unique_labels(raw)
    if not labels.get(NAME):
        if not name:
            return None
        labels[NAME] = name
    return labels


NAMELESS = Rejection(Reason.MISSING_FIELD, "neither labels.__name__ nor name")
