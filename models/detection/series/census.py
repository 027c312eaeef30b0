"""How many series each source has, awake or asleep, and which values its labels take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from models.detection.series.row_index import RowIndex
from models.detection.series.tables import NONE
from schemas.samples import SeriesDef

BOUND = "le"  # the buckets of a histogram have a cap of their own


@dataclass
class Census:
    """A value is known by 64 bits of a hash, as a series is: of an instance's name there may be one a series."""

    series: Counter[str] = field(default_factory=Counter)  # by source
    values: dict[tuple[str, str], RowIndex] = field(default_factory=dict)  # by source and label: how many series have each value

    def enter(self, found: SeriesDef) -> None:
        self.series[found.source] += 1
        for name, value in found.labels.items():
            if name != BOUND:
                if (values := self.values.get((found.source, name))) is None:
                    values = self.values[found.source, name] = RowIndex()
                key = _key(value)
                if (count := values.find(key)) == NONE:
                    values.add(key, 1)
                else:
                    values[key] = count + 1

    def enter_all(self, definitions: Iterable[SeriesDef]) -> None:
        """Do so with many at once."""
        counts: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for found in definitions:
            self.series[found.source] += 1
            for name, value in found.labels.items():
                if name != BOUND:
                    counts[found.source, name][_key(value)] += 1
        for label, own in counts.items():
            own.update(self.values.get(label, {}))  # adds
            self.values[label] = RowIndex.of(np.fromiter(own, np.uint64, len(own)), np.fromiter(own.values(), np.int64, len(own)))

    def leave(self, found: SeriesDef) -> None:
        self.series[found.source] -= 1
        for name, value in found.labels.items():
            if name != BOUND:
                values, key = self.values[found.source, name], _key(value)
                if (count := values[key]) > 1:
                    values[key] = count - 1
                else:
                    del values[key]
                if not values:
                    del self.values[found.source, name]

    def distinct(self, source: str, label: str) -> int:
        return len(self.values.get((source, label), ()))

    def is_new(self, source: str, label: str, value: str, most: int) -> bool:
        """Tell whether a label has so many values already, and this is none of them."""
        return label != BOUND and self.distinct(source, label) >= most and _key(value) not in self.values[source, label]


def _key(value: str) -> int:
    return hash(value) % 2**64
