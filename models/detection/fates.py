"""What becomes of rows and of definitions: each ends in exactly one of these, and what was counted is as much as was taken in.

A row that waits for its window has none yet. What decides is how it was used in the end: a row that came late and was then given up is
`evicted`; one whose time was brought forward and whose series had a value at that time is `same_time`.
"""

from __future__ import annotations

from enum import StrEnum


class RowFate(StrEnum):
    # judged
    ON_TIME = "on_time"
    REORDERED = "reordered"  # after a newer one of its source partition, and yet in its own window
    LATE = "late"  # its window was closed: in the oldest open one, for it was news of its series
    FUTURE = "future"  # ahead of its record, or of the other sources: judged at their time
    ENDED = "ended"  # the producer's word that the series ends here
    # not judged
    DUPLICATE = "duplicate"  # at or below what was taken of its source partition
    SAME_TIME = "same_time"  # its series has a value at that time: of those in one window the last stands
    STALE = "stale"  # its window was closed, and its series is further, or it came later than is allowed
    UNKNOWN_SERIES = "unknown_series"
    NOT_FINITE = "not_finite"
    HISTORICAL = "historical"  # of a backfill beside live rows, or one that still waited when the first of those came
    EVICTED = "evicted"  # its series was given up while it waited
    GIVEN_UP = "given_up"  # it waited in a snapshot of another window or ring size


ARRIVALS = (RowFate.ON_TIME, RowFate.REORDERED, RowFate.LATE, RowFate.FUTURE)  # by the number that a waiting row carries
ON_TIME, REORDERED, LATE, FUTURE = range(len(ARRIVALS))


class DefinitionFate(StrEnum):
    TAKEN = "taken"  # known now, or before already
    UNMAPPED = "unmapped"  # no rule of the mapping names it: for the doctor, not for detect
    SERIES_ABOVE_CAP = "series_above_cap"
    SOURCE_ABOVE_CAP = "source_above_cap"  # its source has as many series as one may
    LABEL_ABOVE_CAP = "label_above_cap"  # one of its labels has as many values as one may
    BUCKET_ABOVE_CAP = "bucket_above_cap"
