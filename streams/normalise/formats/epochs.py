"""Times as programs write them: a number since 1970 whose unit is told or plain from its size, or RFC 3339."""

from __future__ import annotations

import math
from typing import Any

from schemas.config.formats import TimestampUnit
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.documents import shown
from streams.normalise.numerals import is_numeral
from streams.normalise.times import LATEST_MS, parse_time

NUMERAL_CHARS = 40  # nanoseconds have 19 digits; a text of a thousand digits is no time

# By magnitude: each bound is the same moment of the year 5138 in the next unit, or March 1973 in this one; no reading is so far off.
_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
_MICROSECONDS_BELOW = 10**17
_MOST = 10**30  # no time in any unit; beyond it a float times 1000 may be none


def moment(value: Any, unit: TimestampUnit | None) -> int:
    """Return milliseconds since 1970, finer digits cut; raise Rejected for what is no time in this unit (None: see the module)."""
    number: int | float
    if type(value) is str:
        if (unit is None or unit is TimestampUnit.RFC3339) and (at := parse_time(value)) is not None:
            return at
        if unit is TimestampUnit.RFC3339 or len(value) > NUMERAL_CHARS or not is_numeral(value):
            raise Rejected(Reason.WRONG_TYPE, f"{shown(value)} is not {_asked(unit)}")
        number = int(value) if value.lstrip("+-").isdigit() else float(value)
    elif type(value) in {int, float} and unit is not TimestampUnit.RFC3339:
        number = value
    else:
        raise Rejected(Reason.WRONG_TYPE, f"{shown(value)} is not {_asked(unit)}")
    if not abs(number) <= _MOST:  # nor NaN
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"{shown(number)} is no time")
    at = _milliseconds(number, unit or _magnitude(number))
    if abs(at) >= LATEST_MS:
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"{shown(number)} is beyond the year 9999, read as {unit or _magnitude(number)}")
    return at


def _magnitude(number: float) -> TimestampUnit:
    size = abs(number)
    if size < _SECONDS_BELOW:
        return TimestampUnit.S
    if size < _MILLISECONDS_BELOW:
        return TimestampUnit.MS
    return TimestampUnit.US if size < _MICROSECONDS_BELOW else TimestampUnit.NS


def _milliseconds(number: float, unit: TimestampUnit) -> int:
    match unit:
        case TimestampUnit.S:
            # a float of seconds is a hair off its milliseconds: 1764298800.123 × 1000 may end in .99998
            return number * 1000 if isinstance(number, int) else math.floor(round(number * 1000, 3))
        case TimestampUnit.MS:
            return math.floor(number)
        case TimestampUnit.US:
            return math.floor(number // 1000)
        case _:
            return math.floor(number // 1_000_000)


def _asked(unit: TimestampUnit | None) -> str:
    if unit is None:
        return "a time: RFC 3339, or a number since 1970"
    return "RFC 3339" if unit is TimestampUnit.RFC3339 else f"a number of {unit} since 1970"
