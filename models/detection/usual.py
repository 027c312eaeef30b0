"""What is usual of each metric of a service at this time of other hours, days or weeks: the profiles of the score, from a reading a minute.

A band knows the last minutes; that a value is high every night at two it does not. So an anomaly that opens says where most of it is
usual at this time, to whoever has to decide. It opens nothing and keeps nothing shut: a fault that comes back every night is a fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import cramjam
import msgspec
import numpy as np
from numpy.typing import NDArray

from models.surprise.past import DAY, HOUR, NO_SEASON, PAST, READING, WEEK, empty
from models.surprise.rule import Rule
from models.surprise.score_kernel import run
from models.surprise.season_kernel import period_ms, slot_of
from schemas.samples import LARGEST
from schemas.signals import Season, Usual

PERIODS = 2  # of a season, before it is told of: one may have been an exception
LAYOUT = hashlib.blake2b(f"lz4 planes {PAST.descr}".encode(), digest_size=8).digest()  # before what is kept: of another one nothing is read
_FIELDS: Any = PAST.fields
_PROFILES, _BYTES = slice(_FIELDS["hour"][1], _FIELDS["level"][1]), 4  # where they stand in a record; of one number
_NUMBERS = (_PROFILES.stop - _PROFILES.start) // _BYTES
_SEASONS = {HOUR: Season.HOUR, DAY: Season.DAY, WEEK: Season.WEEK}


class Seen(msgspec.Struct, gc=False):
    """What a metric was so far."""

    past: bytes = b""  # LAYOUT and a record of PAST, compressed: most bins and hours hold nothing; empty: nothing
    begun: int = 0  # ms, of the first reading


class Reading(NamedTuple):
    seen: Seen
    value: float
    rule: Rule


def learn(taken: Sequence[Reading], at: int) -> None:
    """Take a reading of each of these metrics, at this time (ms); one that is not later than the one before is left out."""
    table = _table([one.seen for one in taken])
    later = (table["seen"] == 0) | (table["at"] < at)
    alike: dict[int, list[int]] = {}  # by the rule itself, and not by what it says: to hash that takes longer than to learn
    for place in np.flatnonzero(later).tolist():
        alike.setdefault(id(taken[place].rule), []).append(place)
    for places in alike.values():
        rule = taken[places[0]].rule
        values = np.clip(np.array([taken[place].value for place in places]), -LARGEST, LARGEST)
        rows = np.array(places, np.int64)
        run(table, rows, np.full(len(rows), at, np.int64), values, rule, np.zeros(len(rows), READING))
        for place, past, first in zip(places, _packed(table[rows]), (table["seen"][rows] == 1).tolist(), strict=True):
            taken[place].seen.past = past
            if first:
                taken[place].seen.begun = at


def usual(seen: Seen, at: int, value: float, baseline: float) -> Usual | None:
    """Return what a metric is at this time (ms), of the season that foretells it best, where that is most of a departure; else None.

    Most of it: the mean of this slot of other days (an hour of it) is nearer to the value than to the baseline that it left.
    """
    past = _table([seen])[0]
    known_ms, season = at - seen.begun, int(past["season"])
    if season == WEEK and known_ms < PERIODS * period_ms(WEEK):
        # Each hour of a first week is foretold by nothing but itself, better than any day foretells it; so the day is asked.
        season = DAY if past["trust"][DAY] > past["trust"][NO_SEASON] else NO_SEASON
    if season == NO_SEASON or known_ms < PERIODS * period_ms(season):
        return None
    found = float(past[_SEASONS[season].value][slot_of(season, at)])
    if not abs(value - found) < abs(found - baseline):  # nor where nothing is known of the slot
        return None
    return Usual(value=found, season=_SEASONS[season])


def set_back(seen: Seen, than: int) -> None:
    """Let the newest reading be no later than this (ms), so that readings go on then."""
    past = _table([seen])
    if past["at"][0] > than:
        past["at"] = than
        (seen.past,), seen.begun = _packed(past), min(seen.begun, than)


def _table(seen: Sequence[Seen]) -> Any:
    """Return the pasts, each a row; of another layout than this release's, or one that is broken, nothing is known."""
    return _turned(b"".join(_opened(one.past) for one in seen), (_BYTES, _NUMBERS)).view(PAST).reshape(-1)


def _opened(past: bytes) -> bytes:
    if not past.startswith(LAYOUT):
        return _NOTHING
    try:
        found = bytes(cramjam.lz4.decompress_block(past[len(LAYOUT) :]))
    except cramjam.DecompressionError:
        return _NOTHING
    return found if len(found) == PAST.itemsize else _NOTHING


def _packed(table: Any) -> list[bytes]:
    """Return each row as it is kept: of a table at once, for to take a record apart row by row copies it a field at a time."""
    size, data = PAST.itemsize, _by_plane(table)
    return [LAYOUT + bytes(cramjam.lz4.compress_block(data[place : place + size])) for place in range(0, len(data), size)]


def _by_plane(table: Any) -> bytes:
    """Return the records, of their profiles the first byte of each number, then the second of each.

    Signs and exponents, which are much alike, lie together then.
    """
    return _turned(table.tobytes(), (_NUMBERS, _BYTES)).tobytes()


def _turned(records: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the records, a row each, in whose profiles, of this shape, rows and columns have changed places."""
    rows = np.frombuffer(records, np.uint8).reshape(-1, PAST.itemsize).copy()
    profiles = rows[:, _PROFILES]
    profiles[:] = profiles.reshape(len(rows), *shape).transpose(0, 2, 1).reshape(profiles.shape)
    return rows


_NOTHING = _by_plane(empty(1))  # as it is kept
