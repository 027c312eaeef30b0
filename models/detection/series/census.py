"""How many series each source has, awake or asleep, and which values its labels take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from schemas.samples import SeriesDef

BOUND = "le"  # the buckets of a histogram have a cap of their own


@dataclass
class Census:
    series: Counter[str] = field(default_factory=Counter)  # by source
    values: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)  # by source and label: series of each value

    def enter(self, found: SeriesDef) -> None:
        self.series[found.source] += 1
        for name, value in found.labels.items():
            if name != BOUND:
                if (values := self.values.get((found.source, name))) is None:
                    values = self.values[found.source, name] = Counter()
                values[value] += 1

    def leave(self, found: SeriesDef) -> None:
        self.series[found.source] -= 1
        for name, value in found.labels.items():
            if name != BOUND:
                values = self.values[found.source, name]
                values[value] -= 1
                if not values[value]:
                    del values[value]
                if not values:
                    del self.values[found.source, name]

    def distinct(self, source: str, label: str) -> int:
        return len(self.values.get((source, label), ()))

    def is_new(self, source: str, label: str, value: str, most: int) -> bool:
        """Tell whether a label has so many values already, and this is none of them."""
        return label != BOUND and self.distinct(source, label) >= most and value not in self.values[source, label]
