"""What bounds the series that are known: all of them, those of one source, and the values of one label in what a source sends.

It is decided where a definition stands in the log, so a replay decides alike. What is known stays, and so does a histogram whole: caps
are for new ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.detection.fates import DefinitionFate
from models.detection.series.registry import Registry
from schemas.samples import SeriesDef

EVICT_SHARE = 100  # of what is full one part in this many goes at once


@dataclass(frozen=True, slots=True)
class Full:
    """A cap that is reached; `excess` is how many series have to go for one more, and for those that will follow it."""

    fate: DefinitionFate
    excess: int = field(compare=False)
    source: str | None = None  # of which series; None: of any
    label: str | None = None  # that has as many values as one may

    def holds(self, found: SeriesDef) -> bool:
        """Tell whether a series takes a place under this cap."""
        return (self.source is None or found.source == self.source) and (self.label is None or self.label in found.labels)


def full_for(registry: Registry, found: SeriesDef) -> Full | None:
    """Return the cap that leaves no place for this definition, None where it is known or has one."""
    config, census = registry.config, registry.census
    if found.id in registry.index:
        return None
    if registry.series >= config.max_series:
        return Full(DefinitionFate.SERIES_ABOVE_CAP, _excess(registry.series, config.max_series))
    if found.group in registry.groups:
        return None
    if (count := census.series[found.source]) >= config.max_series_per_source:
        return Full(DefinitionFate.SOURCE_ABOVE_CAP, _excess(count, config.max_series_per_source), found.source)
    most = config.max_values_per_label
    for label, value in sorted(found.labels.items()):
        if census.is_new(found.source, label, value, most):
            return Full(DefinitionFate.LABEL_ABOVE_CAP, _excess(census.distinct(found.source, label), most), found.source, label)
    return None


def _excess(count: int, cap: int) -> int:
    return count - int(cap * (1 - 1 / EVICT_SHARE))
