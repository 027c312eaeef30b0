"""What each raw label text means, remembered: decoding labels once a series instead of once a sample is what makes normalise fast.

Two generations stand in for an LRU list, which would cost a write on every hit: what was used since the last turn is young; at a
turn the old ones are forgotten and counted. A text has a slot, an index into NumPy arrays, so that a batch needs no objects. Of the
text itself a hash is kept (key_table.py), and what it means in compressed pages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.arrays import longer, room_for
from models.pages import Pages
from schemas.samples import SeriesDef, encode_series, pack_series, unpack_series
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.port import Described
from streams.normalise.jsons import unique_labels
from streams.normalise.partitioner import partition_of
from streams.normalise.series import NAME, Resolver, Unmapped

if TYPE_CHECKING:
    from streams.normalise.formats.key_table import Bytes, Ints
    from streams.normalise.generation import Generation

CAPACITY = 1_250_000  # label texts
CAPACITY_BYTES = 384 * 1024 * 1024  # of all texts, for one may be 64 kB long: some 1,300,000 of usual length
EACH_BYTES = 200  # what a text costs here and in the tables that lead here, beside its definition, which is about as long as the text
KEYS_AT_ONCE = 1_000  # that are looked up together: beyond so many it is no cheaper, and one may be 64 kB long
SERVICES = 10_000  # whose partitions are remembered; it is the hash of the name
NOWHERE = -1  # in place of a partition: refused
UNMAPPED = -2  # the same: of a metric that no rule names

NEEDS_NAME = -1  # in place of a slot: these labels lack __name__, so the message's own name is part of the key

_NAMED = b"name"  # the prefix of such a key; that of a format is a number

Meaning = SeriesDef | Unmapped | Rejection


class SeriesCache:
    def __init__(self, resolver: Resolver, partitions: int, capacity: int = CAPACITY, seed: int | None = None) -> None:
        """`seed`: of the hashes, that nobody can guess."""
        if capacity < 2:
            raise ValueError("a cache of at least two texts")
        self._resolver = resolver
        self._half = capacity // 2
        self._seed = secrets.randbits(128) if seed is None else seed
        self._generations: tuple[Generation, Generation] | None = None  # young and old, from the first text on
        self._free: list[int] = []
        self._slots = 0
        self._series: Pages[SeriesDef] = Pages(pack_series, unpack_series)  # by slot; what is unmapped, too
        self._refused: dict[int, Rejection] = {}  # the same, of texts that mean no series
        self._partition_of = lru_cache(SERVICES)(partial(partition_of, partitions=partitions))
        self.ids: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.partition: NDArray[np.int32] = np.zeros(0, np.int32)
        self.announced: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.again: NDArray[np.int64] = np.zeros(0, np.int64)  # when what was announced is told again: this host's clock, ms
        self.source = ""  # where what is read now comes from: of a new series
        self.evicted = 0
        self.turns = 0

    def __len__(self) -> int:
        return sum(map(len, self._generations or ()))

    def turn(self) -> None:
        """Forget what was not used for a generation. Between batches only: slots that a batch holds must stay its own.

        Where all texts in use have room, nothing is forgotten: else each would be resolved anew in turn.
        """
        if self._generations is None:
            return
        young, old = self._generations
        full = len(young) >= self._half and len(self) >= 2 * self._half
        heavy = _bytes(young) >= CAPACITY_BYTES // 2 and _bytes(young) + _bytes(old) >= CAPACITY_BYTES
        if not (full or heavy):
            return
        for slot in old.slots_held():
            if slot >= 0:
                if self._refused.pop(slot, None) is None:
                    del self._series[slot]
                self._free.append(slot)
        self.evicted += len(old)
        self._generations = self._generation(), young
        self.turns += 1

    def young(self) -> Generation:
        """Return where texts are looked up first."""
        return self._both()[0]

    def find(self, raw: bytes, name: str) -> int:
        """Return the slot of one text of labels."""
        return int(self.find_all([raw], [name])[0])

    def find_all(self, raws: Sequence[bytes], names: Sequence[str]) -> Ints:
        """Return the slot of each text of labels, NEEDS_NAME where neither they nor the message's own name name a metric."""
        slots = self.slots_of(b"", raws, lambda place: described(raws[place], ""))
        nameless = np.flatnonzero(slots == NEEDS_NAME).tolist()
        if nameless:
            keys = [raws[place] + b"\x00" + names[place].encode() for place in nameless]
            slots[nameless] = self.slots_of(_NAMED, keys, lambda row: described(raws[nameless[row]], names[nameless[row]]))
        return slots

    def slots_of(self, prefix: bytes, keys: Sequence[bytes], describe: Callable[[int], Described | None]) -> Ints:
        """Return the slot of each key of a format; one that was never seen is described, by its place.

        `prefix` keeps the keys of a format apart. NEEDS_NAME where a description is None.
        """
        young, old = self._both()
        return young.find_all(prefix, keys, old, lambda place: self._taken(describe, place))

    def slots_at(self, prefix: bytes, data: Bytes, starts: Ints, ends: Ints, describe: Callable[[int], Described | None]) -> Ints:
        """Return the same of the keys `data[start:end]`."""
        young, old = self._both()
        return young.find(prefix, data, starts, ends, old, lambda place: self._taken(describe, place))

    def meaning(self, slot: int) -> Meaning:
        refused = self._refused.get(slot)
        if refused is not None:
            return refused
        found = self._series[slot]
        return found if found.mapped else Unmapped(found)

    def told(self, slot: int) -> bytes:
        """Return the definition of a series as it is told."""
        found = self.meaning(slot)
        if not isinstance(found, SeriesDef):
            raise TypeError(f"slot {slot} is of no series")
        return encode_series([found])

    def _taken(self, describe: Callable[[int], Described | None], place: int) -> int:
        """Take what is described, NEEDS_NAME for nothing."""
        try:
            told = describe(place)
            return NEEDS_NAME if told is None else self._take(self._resolver.resolve(told, self.source))
        except Rejected as refused:
            return self._take(refused.rejection)

    def _take(self, meaning: Meaning) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._slots
            self._slots += 1
            if slot >= len(self.ids):
                self._grow(room_for(1024, slot))
        self.announced[slot] = False
        if isinstance(meaning, SeriesDef):
            self._series[slot] = meaning
            self.ids[slot] = meaning.id
            self.partition[slot] = self._partition_of(meaning.service)
            return slot
        self.ids[slot] = 0
        if isinstance(meaning, Unmapped):
            self._series[slot] = meaning.definition
            self.partition[slot] = UNMAPPED
        else:
            self._refused[slot] = meaning
            self.partition[slot] = NOWHERE
        return slot

    def _both(self) -> tuple[Generation, Generation]:
        if self._generations is None:
            self._generations = self._generation(), self._generation()
        return self._generations

    def _generation(self) -> Generation:
        from streams.normalise.generation import Generation  # noqa: PLC0415 - compiles code: only who needs it

        return Generation(self._seed)

    def _grow(self, size: int) -> None:
        self.ids, self.partition = longer(self.ids, size), longer(self.partition, size)
        self.announced, self.again = longer(self.announced, size), longer(self.again, size)


def described(raw: bytes, name: str) -> Described | None:
    labels = labels_of(raw, name)
    return None if labels is None else Described(labels)


def _bytes(of: Generation) -> int:
    return EACH_BYTES * len(of) + of.bytes


def labels_of(raw: bytes, name: str) -> dict[str, str] | None:
    """Return the labels of a JSON text, `name` being what they may lack; None where nothing names the metric."""
    labels = unique_labels(raw)
    if not labels.get(NAME):
        if not name:
            return None
        labels[NAME] = name
    return labels


NAMELESS = Rejection(Reason.MISSING_FIELD, "neither labels.__name__ nor name")
