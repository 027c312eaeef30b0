"""High-water marks of source logs: what was taken already, and when a log has begun anew under the same name.

A crash of the stage before repeats what it sent, so what stands at or below the mark is a repeat. But a raw topic that was deleted
and made again counts from 0: everything in it would look like a repeat until the old mark is passed, and nobody would be told of
anything. The event time tells the two apart: a repeat was taken before, so it is no newer than the newest that was taken; what is
newer and yet stands below the mark was written after the log began again. A clock that runs ahead delays the finding, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Place = tuple[int, int]  # offset in the source, index within that record


class Standing(StrEnum):
    NEW = "new"
    REPEAT = "repeat"
    DOUBTFUL = "doubtful"  # below the mark and newer than all that was taken, but not often enough yet: dropped
    RESTARTED = "restarted"  # the log began anew: taken, and the mark begins again from here


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one source log was taken."""

    place: Place
    newest: int  # event time in ms, of all that was taken
    doubts: int = 0  # in a row: below the place and newer than `newest`
    doubted: Place = (-1, -1)  # the last of them: a log that began anew rises


def judge(mark: Mark | None, place: Place, at: int, patience: int = 1) -> tuple[Mark, Standing]:
    """Return the mark after this record, and where the record stands.

    `at` is the record's own event time in ms, the same whenever it is repeated. `patience` is how many records in a row have to look
    like a log begun anew before it counts as one: 1 loses none, more guards against records that were passed over at first and
    are newer than what was taken. A batch is judged by its first place and its oldest time.
    """
    if mark is None:
        return Mark(place, at), Standing.NEW
    if place > mark.place:
        return Mark(place, max(mark.newest, at)), Standing.NEW
    if at <= mark.newest or place <= mark.doubted:
        return Mark(mark.place, mark.newest), Standing.REPEAT
    if mark.doubts + 1 < patience:
        return Mark(mark.place, mark.newest, mark.doubts + 1, place), Standing.DOUBTFUL
    return Mark(place, at), Standing.RESTARTED
