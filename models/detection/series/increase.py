"""One window's rows of raw series: duplicates out, counters to increases with reset detection. Vectorised over the rows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from models.detection.judge import NEVER
from models.detection.packed import Bools, Floats, Ints
from models.detection.series.tables import GAUGE, Raws


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that wait for, or belong to, a window; columns have one length. `raw` is the row of the raw series."""

    raw: Ints
    at: Ints
    value: Floats
    source: Ints
    offset: Ints
    window: Ints
    arrival: Ints  # place in fates.ARRIVALS: how it came, which is its fate where it is judged

    def __len__(self) -> int:
        return len(self.raw)

    def pick(self, chosen: Ints | Bools | slice) -> Rows:
        return Rows(*(getattr(self, name)[chosen] for name in COLUMNS))


COLUMNS = tuple(one.name for one in fields(Rows))


@dataclass(frozen=True, slots=True)
class Folded:
    """One window's raw series, each once, in the order of their rows."""

    raw: Ints
    at: Ints  # of the newest sample
    value: Floats  # newest
    mean: Floats
    lowest: Floats
    increase: Floats  # since the last sample before the window; of a counter that began anew, what it counted since
    known: Bools  # there was a sample before the window
    span: Ints  # ms since it, where known
    reset: Bools
    had: Bools  # it had counted something before, so that a reset would show
    falls: Ints  # how often the value crossed 0.5 downwards: an `up` that went
    fresh: Bools  # of the rows that were given: which were folded,
    passed: Bools  # and which are older than what was folded already; the rest are of a time that has its value


def together(parts: list[Rows]) -> Rows:
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def fold_window(rows: Rows, raws: Raws) -> Folded:
    """Fold the rows of one window, sorted by raw series, time, source and offset; of one series and time the last row stands.

    Changes `raws`: the newest sample of each.
    """
    same = np.append((rows.raw[1:] == rows.raw[:-1]) & (rows.at[1:] == rows.at[:-1]), False)
    fresh = ~same & (rows.at > raws.last_t[rows.raw])
    raw, at, value = rows.raw[fresh], rows.at[fresh], rows.value[fresh]
    first = np.append(True, raw[1:] != raw[:-1]) if len(raw) else np.zeros(0, np.bool_)
    starts = np.flatnonzero(first)
    if raws.delta[raw].any():
        value = _summed(value, raw, starts, raws)
    ends = np.append(starts[1:], len(raw))[: len(starts)] - 1
    own = raw[starts]
    known_row = ~first | (raws.last_t[raw] != NEVER)
    before = np.where(first, raws.last_v[raw], np.append(0.0, value[:-1]))
    fell = known_row & (value < before)
    gain = np.where(known_row, np.where(fell, value, value - before), 0.0)
    down = known_row & (before >= 0.5) & (value < 0.5)
    known = raws.last_t[own] != NEVER
    folded = Folded(
        raw=own,
        at=at[ends],
        value=value[ends],
        mean=_over(np.add, value, starts) / (ends - starts + 1),
        lowest=_over(np.minimum, value, starts),
        increase=np.maximum(0.0, _over(np.add, gain, starts)),
        known=known,
        span=np.where(known, at[ends] - raws.last_t[own], 0),
        reset=_over(np.logical_or, fell, starts).astype(np.bool_),
        had=known & (raws.last_v[own] > 0),
        falls=_over(np.add, down.astype(np.int64), starts).astype(np.int64),
        fresh=fresh,
        passed=rows.at < raws.last_t[rows.raw],
    )
    raws.last_t[own], raws.last_v[own] = folded.at, folded.value
    return folded


def _summed(value: Floats, raw: Ints, starts: Ints, raws: Raws) -> Floats:
    """Make counts from the beginning out of counts since the last one; of a count less than nothing, nothing counts.

    A level may fall: of those that are no counters every difference counts.
    """
    delta = raws.delta[raw]
    steps = np.where(delta, np.where(raws.type[raw] == GAUGE, value, np.maximum(value, 0.0)), 0.0)
    running = np.cumsum(steps)
    rows = np.diff(np.append(starts, len(raw)))
    before = np.repeat(running[starts] - steps[starts], rows)  # what the series before it add up to
    return np.where(delta, np.repeat(raws.last_v[raw[starts]], rows) + (running - before), value)


def _over(what: np.ufunc, values: Floats | Ints | Bools, starts: Ints) -> Floats:
    result: Floats = what.reduceat(values, starts) if len(starts) else np.zeros(0, values.dtype)
    return result
