"""History does not mix with the present.

What is marked as history is judged as long as nothing else was taken, and what follows from it is marked too. With the first live
record all that it taught is given up, but never what the series mean nor how far each source was taken; after that, history teaches
nothing. Otherwise a leak of yesterday would go on today: what is open stays open, and what follows from a live record has no mark.
"""

from __future__ import annotations

from collections import Counter

from models.detection.report import Directory
from models.detection.rows import Waiting
from models.detection.series.define import register
from models.detection.series.dormant import sleep
from models.detection.series.registry import empty
from models.detection.silence import ActiveClock
from models.detection.sources import Source, Sources
from models.detection.state import DetectState
from schemas.config.detect import DetectConfig


def is_live(state: DetectState) -> bool:
    """Tell whether anything but history was taken."""
    return state.closed is not None and not state.history


def give_up_history(state: DetectState, config: DetectConfig) -> Counter[str]:
    """Begin anew with the series and the marks that are known; return how many rows still waited, by topic. Without history: none."""
    if not state.history:
        return Counter()
    known, sources = state.registry, state.sources
    waiting = sources.topics(state.waiting.rows)
    state.registry = empty(config)
    for members in known.dormant.values():
        sleep(state.registry, members)
    for found in known.defs.values():
        register(state.registry, found, now=0)
    marks = [Source(mark=source.mark, latest=source.latest) for source in sources.all]
    state.sources = Sources.of(config, sources.names(), marks, sources.tick)
    state.clock, state.directory = ActiveClock(), Directory()
    state.closed, state.told, state.waiting, state.history = None, 0, Waiting(), False
    return waiting
