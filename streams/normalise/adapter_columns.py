"""prometheus-kafka-adapter's JSON by the batch: what the adapter itself writes is read by compiled code, the rest is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.normalise.cache import NAMELESS, SeriesCache, labels_of
from streams.normalise.columnar import Slots
from streams.normalise.fates import Rejected
from streams.normalise.formats.adapter_kernel import read_columns
from streams.normalise.formats.port import Described
from streams.normalise.prometheus_kafka_adapter import MAX_SAMPLE_BYTES
from streams.normalise.rows import Rows

CAPACITY = 1_500_000  # texts of labels in one table: more than the series cache holds


class AdapterColumns:
    """A key is the text of the labels, as it is in the cache itself; only labels that name their metric are read here."""

    def __init__(self, cache: SeriesCache, capacity: int = CAPACITY) -> None:
        self.slots = Slots(cache, _described, capacity)

    def read(self, values: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Return what could be read of these records, and those that are left to the reference reader, by their places."""
        found = read_columns(values, self.slots.ready(), MAX_SAMPLE_BYTES)
        slots = self.slots.settle(b"", found.own, found.data, found.start, found.end, found.labels)
        rows = Rows(found.record.copy(), np.zeros(len(slots), np.int64), slots, found.at.copy(), found.value)
        return rows, np.flatnonzero(found.left).tolist()


def _described(raw: bytes) -> Described:
    labels = labels_of(raw, "")
    if labels is None:
        raise Rejected(NAMELESS.reason, NAMELESS.detail)
    return Described(labels)
