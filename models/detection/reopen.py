"""Windows that were closed before their time are open again: by a source that is found ahead, or before another one was there.

What sources that are ahead brought forward is brought back.

Before another source is there to compare with, a clock that is ahead is all the time that there is, and its windows close. Were they
to stay closed, each row of the others would be late until time itself has come so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.detection import leaks
from models.detection.combined import held_ms
from models.detection.fates import FUTURE, LATE, REORDERED
from models.detection.newest import set_times, times_of
from models.detection.series.registry import Registry
from models.detection.state import DetectState


def pull_back(state: DetectState, ahead: list[int], window_ms: int) -> None:
    """Bring all that lies beyond the time of the others back to it, and open the windows from there on."""
    than = state.sources.believable
    mark = state.sources.mark()
    opened = (than if mark is None else mark) // window_ms
    if state.closed is not None and state.closed > opened:
        state.closed, state.told = opened, min(state.told, opened * window_ms)
        if state.clock.last is not None:
            state.clock.last = min(state.clock.last, opened * window_ms)
        _earlier(state.registry, than)
        leaks.pull_back(state.leaks, than)
    state.waiting.rows = _brought_back(state.waiting.rows, ahead, than, state.closed or 0, window_ms)


def reopen(state: DetectState, at: int, window_ms: int) -> None:
    """Open the windows from this time on for a source of history that comes after another one, which may have been read to its end.

    Nothing is judged twice, and no time passes until the closed windows are reached again: of what was there nothing falls silent.
    """
    if state.closed is not None:
        state.closed = min(state.closed, at // window_ms)


def _brought_back(rows: Any, ahead: list[int], than: int, closed: int, window_ms: int) -> Any:
    future = np.isin(rows["source"], ahead) & (rows["at"] > than)
    rows["at"][future] = than
    own = rows["at"] // window_ms
    on_time_again = (rows["arrival"] == LATE) & (own >= closed)
    rows["arrival"] = np.where(future, FUTURE, np.where(on_time_again, REORDERED, rows["arrival"]))
    rows["window"] = np.maximum(own, closed)
    return rows


def _earlier(registry: Registry, than: int) -> None:
    """Let no series' past lie beyond this time: it would take no row until then. When an anomaly opened stands: it is its name."""
    raws, slots, hists, tallies = registry.raws, registry.slots, registry.hists, registry.tallies
    for column in (raws.last_t, slots.pushed, slots.said, slots.bad_at, hists.since, tallies.since, tallies.resets, tallies.falls):
        np.minimum(column, than, out=column)
    set_times(slots, np.minimum(times_of(slots), than))
    settled = slots.settled[: slots.used]
    np.minimum(settled, than + slots.rules.rows["settle"][slots.rule[: slots.used]], out=settled)
    np.minimum(slots.held, than + held_ms(registry.config), out=slots.held)
