"""RFC 3339 to milliseconds UTC, and the range of event time that a record may claim.

The stamp of a raw record is its producer's own clock: a host that is a year ahead stamps record and sample alike. So both are held
against this host's clock too, which the shell hands in. What is old with an old stamp is a backlog being drained, and welcome for as
long as a raw topic of readings keeps its records at all; beyond that it is a wrong clock, or history that does not say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY_MS = 24 * 3_600_000
OLDEST_MS = DAY_MS  # older samples than a day before their own record belong to a backfill, not to the live stream
NEWEST_MS = 5 * 60_000  # hosts' clocks drift by seconds; five minutes ahead is a wrong clock
STALE_MS = 7 * DAY_MS  # what raw topics keep of alerts, and a week of metrics: an older record is no backlog
LATEST_MS = 253_402_300_800_000  # the year 10000: beyond it no text of RFC 3339 and no column reaches

MEMO_SIZE = 65_536  # distinct texts: a scrape of 10,000 targets with their own milliseconds over several seconds

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_time(text: str) -> int | None:
    """Return milliseconds since 1970 (negative before it; finer digits are cut), or None for what is not RFC 3339."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    leap = second == "60"  # RFC 3339 allows it, datetime does not
    try:
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second), tzinfo=UTC)
    except ValueError:
        return None
    at = (whole - _EPOCH) // _MILLISECOND + 1000 * leap + int((fraction or "0").ljust(3, "0")[:3])
    if sign is None:
        return at
    if int(offset_hours) > 23 or int(offset_minutes) > 59:
        return None
    offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60_000
    return at - offset if sign == "+" else at + offset


@dataclass(frozen=True, slots=True)
class Reach:
    """How far from `now`, this host's clock in ms, and from its own record's stamp an event time may lie."""

    now: int
    before_now: int = STALE_MS
    before_record: int = OLDEST_MS

    @property
    def earliest(self) -> int:
        return max(self.now - self.before_now, 0)

    @property
    def latest(self) -> int:
        return min(self.now + NEWEST_MS, LATEST_MS - 1)

    def holds(self, at: int, record_ms: int) -> bool:
        """Tell whether a record may claim this time; a record without a stamp bounds nothing."""
        if not self.earliest <= at <= self.latest:
            return False
        return record_ms <= 0 or (record_ms <= self.latest and record_ms - self.before_record <= at <= record_ms + NEWEST_MS)

    def says(self, at: int, record_ms: int) -> str:
        return f"{at} ms, while its record was written at {record_ms} ms and now is {self.now} ms"


def of_history(now: int) -> Reach:
    """Return the reach of a record that says it is historical: as old as it likes, no newer than any other."""
    return Reach(now, before_now=LATEST_MS, before_record=LATEST_MS)
