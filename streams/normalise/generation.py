"""One generation of the series cache: which slot each text has that was used in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.arrays import longer, room_for
from streams.normalise.formats.key_table import ROOM, Bytes, Ints, KeyTable
from streams.normalise.formats.wire_kernel import joined

NO_SLOT = -2  # of a text that has none here, or has gone to the younger generation


class Generation:
    """Of a text it keeps a hash and the slot."""

    def __init__(self, seed: int) -> None:
        self.table = KeyTable(seed)
        self._slots = np.full(ROOM + 1, NO_SLOT, np.int32)  # by row of the table, and the last for what is UNKNOWN there
        self._held = 0
        self.bytes = 0  # of the texts that are held

    def __len__(self) -> int:
        return self._held

    def slots_held(self) -> list[int]:
        held: list[int] = self._slots[self._slots != NO_SLOT].tolist()
        return held

    def slots_of(self, rows: Ints) -> Ints:
        """Return the slots of rows of the table, NO_SLOT for one that is UNKNOWN there."""
        return self._slots[rows].astype(np.int64)

    def find(self, prefix: bytes, data: Bytes, starts: Ints, ends: Ints, older: Generation, take: Callable[[int], int]) -> Ints:
        """Return the slot of each text `data[start:end]` behind this prefix.

        `take` gives one to a text that neither generation has, by its place; what the older one has is taken from there.
        """
        rows = self.table.find(data, starts, ends, prefix)
        slots = self.slots_of(rows)
        missing = np.flatnonzero(slots == NO_SLOT)
        if len(missing):
            rows[missing] = self.table.add_all(data, starts[missing], ends[missing], prefix)
            self._make_room()
            _, firsts = np.unique(rows[missing], return_index=True)
            new = missing[np.sort(firsts)]
            found = older._leave(prefix, data, starts[new], ends[new])
            for at in np.flatnonzero(found == NO_SLOT).tolist():
                found[at] = take(int(new[at]))
            self._slots[rows[new]] = found
            self._held += len(new)
            self.bytes += int((ends[new] - starts[new]).sum())
            slots = self.slots_of(rows)
        return slots

    def find_all(self, prefix: bytes, keys: Sequence[bytes], older: Generation, take: Callable[[int], int]) -> Ints:
        """Return the same of texts by themselves."""
        data, offsets = joined(keys)
        return self.find(prefix, data, offsets[:-1], offsets[1:], older, take)

    def _leave(self, prefix: bytes, data: Bytes, starts: Ints, ends: Ints) -> Ints:
        """Return the slots of these texts, NO_SLOT of those that are not held, and hold them no longer."""
        rows = self.table.find(data, starts, ends, prefix)
        slots = self.slots_of(rows)
        held = slots != NO_SLOT
        self._slots[rows[held]] = NO_SLOT
        self._held -= int(held.sum())
        self.bytes -= int((ends - starts)[held].sum())
        return slots

    def _make_room(self) -> None:
        room = len(self._slots)
        if room <= len(self.table):
            self._slots = longer(self._slots, room_for(len(self.table) + 1, room))
            self._slots[room:] = NO_SLOT
