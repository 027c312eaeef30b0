"""RFC 3339 to milliseconds UTC, and the range of event time that a record may claim."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

OLDEST_MS = 24 * 3_600_000  # older samples than a day before their own record belong to a backfill, not to the live stream
NEWEST_MS = 5 * 60_000  # hosts' clocks drift by seconds; five minutes ahead is a wrong clock
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


def in_range(at: int, record_ms: int) -> bool:
    """Compare with the record's own Kafka timestamp, so that a replay decides alike; a record without one bounds nothing."""
    return 0 <= at < LATEST_MS and (record_ms <= 0 or record_ms - OLDEST_MS <= at <= record_ms + NEWEST_MS)
