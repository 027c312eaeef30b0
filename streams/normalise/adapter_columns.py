"""prometheus-kafka-adapter's JSON by the batch: what the adapter itself writes is read by compiled code, the rest is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.normalise.cache import NEEDS_NAME, SeriesCache, described
from streams.normalise.formats.adapter_kernel import read_columns
from streams.normalise.generation import NO_SLOT
from streams.normalise.prometheus_kafka_adapter import MAX_SAMPLE_BYTES
from streams.normalise.rows import Rows


class AdapterColumns:
    """A key is the text of the labels, as it is in the cache itself; only labels that name their metric are read here."""

    def __init__(self, cache: SeriesCache) -> None:
        self._cache = cache

    def read(self, values: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Return what could be read of these records, and those that are left to the reference reader, by their places."""
        young = self._cache.young()
        found = read_columns(values, young.table, MAX_SAMPLE_BYTES)
        slots = young.slots_of(found.own)
        rows = Rows(found.record.copy(), np.zeros(len(slots), np.int64), slots, found.at.copy(), found.value)
        odd = np.flatnonzero(slots < 0)
        if len(odd):
            new = odd[slots[odd] == NO_SLOT]
            starts, ends = found.start[new], found.end[new]
            slots[new] = self._cache.slots_at(b"", found.data, starts, ends, lambda row: described(found.labels(new[row]), ""))
            nameless = slots == NEEDS_NAME
            found.left[rows.record[nameless]] = True
            rows = rows.pick(~nameless)
        return rows, np.flatnonzero(found.left).tolist()
