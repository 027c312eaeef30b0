"""Numbers and times in texts, for compiled code: what is read here is what float() and times.parse_time make of it, to the bit.

Whatever else they take (NaN, leap seconds, a small t) is not read here, and so left to them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from streams.normalise.formats.wire_kernel import Int

INEXACT = 1  # a numeral whose value takes more than one rounding: for float()
NO_NUMERAL = 2

_EXACT = np.array([10.0**power for power in range(23)])  # all powers of ten that a double holds
_LAST_POWER = 22
_WHOLE = 1 << 53  # integers below it are doubles
_FULL = 1 << 59  # another digit still fits into 63 bits
_MANY = 100_000  # of an exponent: no further digit changes what it is

_NINE, _DOT, _PLUS, _MINUS, _COLON = 9, ord("."), ord("+"), ord("-"), ord(":")
_ZERO, _E, _LETTER_CASE, _T, _Z = ord("0"), ord("e"), 0x20, ord("T"), ord("Z")

_BEFORE_MONTH = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_LENGTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_DAYS_TO_1970 = 719_162  # from the first day of the year 1
NO_TIME = -(2**62)
_DATE_AND_TIME = 19  # characters of YYYY-MM-DDTHH:MM:SS
_FRACTION = 9  # digits at most


@compiled_bare
def number(data: NDArray[np.uint8], at: Int, end: Int) -> tuple[float, int]:
    """Return the number that these bytes are, and 0; else INEXACT or NO_NUMERAL.

    A whole number below 2**53, times or by a power of ten that is itself a double, is rounded once: so by IEEE 754 it is the nearest
    (W. D. Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990).
    """
    negative = False
    if at < end and (data[at] == _MINUS or data[at] == _PLUS):
        negative = data[at] == _MINUS
        at += 1
    whole = np.int64(0)
    power = np.int64(0)
    digits = 0
    full = False
    pointed = False
    while at < end:
        digit = np.int64(data[at]) - _ZERO
        if 0 <= digit <= _NINE:
            digits += 1
            if whole < _FULL // 10:
                whole = whole * 10 + digit
                if pointed:
                    power -= 1
            else:
                full = True
        elif data[at] == _DOT and not pointed:
            pointed = True
        else:
            break
        at += 1
    if digits == 0:
        return 0.0, NO_NUMERAL
    if at < end:
        if data[at] | _LETTER_CASE != _E:
            return 0.0, NO_NUMERAL
        at += 1
        below = at < end and data[at] == _MINUS
        if at < end and (data[at] == _MINUS or data[at] == _PLUS):
            at += 1
        if at == end:
            return 0.0, NO_NUMERAL
        exponent = np.int64(0)
        while at < end:
            digit = np.int64(data[at]) - _ZERO
            if not 0 <= digit <= _NINE:
                return 0.0, NO_NUMERAL
            exponent = min(exponent * 10 + digit, np.int64(_MANY))
            at += 1
        power += -exponent if below else exponent
    if full or whole >= _WHOLE or not -_LAST_POWER <= power <= _LAST_POWER:
        return 0.0, INEXACT
    found = np.float64(whole)
    found = found * _EXACT[power] if power >= 0 else found / _EXACT[-power]
    return -found if negative else found, 0


@compiled_bare
def instant(data: NDArray[np.uint8], at: Int, end: Int) -> np.int64:
    """Return the ms since 1970 of YYYY-MM-DDTHH:MM:SS[.fraction](Z or ±HH:MM), `NO_TIME` for anything else."""
    if end - at <= _DATE_AND_TIME:
        return np.int64(NO_TIME)
    century, past_it = _two(data, at), _two(data, at + 2)
    year = century * 100 + past_it
    month, day = _two(data, at + 5), _two(data, at + 8)
    hour, minute, second = _two(data, at + 11), _two(data, at + 14), _two(data, at + 17)
    if data[at + 4] != _MINUS or data[at + 7] != _MINUS or data[at + 10] != _T or data[at + 13] != _COLON or data[at + 16] != _COLON:
        return np.int64(NO_TIME)
    if min(century, past_it, hour, minute, second) < 0 or hour > 23 or minute > 59 or second > 59:
        return np.int64(NO_TIME)
    leap = np.int64((year % 4 == 0 and year % 100 != 0) or year % 400 == 0)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= _LENGTHS[month] + (leap if month == 2 else 0):
        return np.int64(NO_TIME)
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 + _BEFORE_MONTH[month] + (leap if month > 2 else 0) + day - 1
    found = (((days - _DAYS_TO_1970) * 24 + hour) * 60 + minute) * 60_000 + second * 1000
    at += _DATE_AND_TIME
    if data[at] == _DOT:
        first = at + 1
        at = first
        weight = 100
        while at < end and _ZERO <= data[at] <= _ZERO + _NINE:
            found += (np.int64(data[at]) - _ZERO) * weight
            weight //= 10
            at += 1
        if not 1 <= at - first <= _FRACTION:
            return np.int64(NO_TIME)
    if at + 1 == end and data[at] == _Z:
        return np.int64(found)
    if at + 6 != end or (data[at] != _PLUS and data[at] != _MINUS) or data[at + 3] != _COLON:
        return np.int64(NO_TIME)
    hours, minutes = _two(data, at + 1), _two(data, at + 4)
    if not (0 <= hours <= 23 and 0 <= minutes <= 59):
        return np.int64(NO_TIME)
    offset = (hours * 60 + minutes) * 60_000
    return np.int64(found - offset if data[at] == _PLUS else found + offset)


@compiled_bare
def _two(data: NDArray[np.uint8], at: Int) -> np.int64:
    """Return the number of two digits, something negative where they are none."""
    tens, ones = np.int64(data[at]) - _ZERO, np.int64(data[at + 1]) - _ZERO
    if 0 <= tens <= _NINE and 0 <= ones <= _NINE:
        return tens * 10 + ones
    return np.int64(-10_000)
