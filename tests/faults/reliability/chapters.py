"""The chapters of the campaign, in the order of the report."""

from __future__ import annotations

from tests.faults.reliability import (
    bite,
    broker,
    control,
    harness,
    load,
    moves,
    network,
    points,
    poison,
    replay,
    sources,
    store,
    timing,
    versions,
)
from tests.faults.reliability.case import Chapter

_MODULES = (harness, points, moves, broker, network, store, timing, poison, replay, load, control, versions, bite)
CHAPTERS: tuple[Chapter, ...] = tuple(module.CHAPTER for module in _MODULES)
_NAMES = {module.CHAPTER.name: module.__name__ for module in _MODULES}


def digest_of(chapter: Chapter) -> str:
    """Return a digest of the code of a chapter's cases."""
    name = _NAMES.get(chapter.name)
    return "" if name is None else sources.digest(name)
