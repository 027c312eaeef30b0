"""Which series a service's health tells of, and their values in short: compiled code over all services at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.compiled import compiled, compiled_bare
from models.detection.band_kernel import band_of
from models.detection.judge_kernel import ORDINARY, badness
from models.detection.packed import Bools, Floats, Ints, Numbers
from schemas.config.detect import MAX_POINTS

DIGITS = 9  # significant, of values; z needs fewer
BAND_DIGITS = 7  # as many as a ring holds
_POWERS = 10.0 ** np.arange(23)  # exact; beyond them nothing is shortened
_USUAL = -9, 15  # powers of ten between which the leading digit is found without a logarithm, which costs more than all the rest
_BOUNDS = 10.0 ** np.arange(_USUAL[0], _USUAL[1] + 1)
_LEAST, _MOST = 1e-9, 1e15  # their numbers
VALUE, BASE, LOW, HIGH, Z, PEAK, POINTS = range(7)  # columns of what is described
COLUMNS = POINTS + MAX_POINTS


@compiled_bare
def troubled(slots: Any, used: int, lately: int, found: Ints) -> int:
    """Put the slots on which something that opens incidents was out of the ordinary since `lately` (ms) into `found`; return how many.

    Args: slots, the records of the table, of which the first `used` were handed out; found (used,). Changes `found`.
    """
    count = 0
    for row in range(used):
        if _is_troubled(slots[row], lately):
            found[count] = row
            count += 1
    return count


@compiled_bare
def any_troubled(slots: Any, lately: int) -> bool:
    """Tell whether there is one; a row that was given back is none."""
    for row in range(len(slots)):  # noqa: SIM110 - compiled code knows no generators
        if _is_troubled(slots[row], lately):
            return True
    return False


@compiled_bare
def _is_troubled(one: Any, lately: int) -> bool:
    return bool(one.bad_at >= lately and one.opens)


@compiled
def choose(slots: Any, members: Numbers, starts: Ints, told: Bools, lately: int, most: int) -> tuple[Ints, Ints]:
    """Return the worst series of each group that is told, the worst first, and (groups, 3): how many those are, all, and anomalous.

    Args: slots, the records of the table; members, the slots of group g at starts[g] … starts[g + 1]; told (groups,); lately in ms, what
    was anomalous since then stands before the rest; most, of one group. A series that has no point yet is none.
    """
    groups = len(told)
    rows, counts, found = np.empty(groups * most, np.int64), np.zeros((groups, 3), np.int64), 0
    for group in range(groups):
        if not told[group]:
            continue
        kept = rows[found : found + most]
        size = 0
        for row in members[starts[group] : starts[group + 1]]:
            if slots[row].seen == 0:
                continue
            counts[group, 1] += 1
            counts[group, 2] += slots[row].state != ORDINARY
            place = size
            while place > 0 and _worse(slots, row, kept[place - 1], lately):
                place -= 1
            if place < most:
                size = min(size + 1, most)
                for i in range(size - 1, place, -1):
                    kept[i] = kept[i - 1]
                kept[place] = row
        counts[group, 0] = size
        found += size
    return rows[:found], counts


@compiled_bare
def _worse(slots: Any, row: int, other: int, lately: int) -> bool:
    """Tell whether a series stands before another one: anomalous, lately anomalous, further off; else the one of the lower number."""
    one, two = slots[row], slots[other]
    if (one.state == ORDINARY) != (two.state == ORDINARY):
        return bool(one.state != ORDINARY)
    if (one.bad_at < lately) != (two.bad_at < lately):
        return bool(one.bad_at >= lately)
    if badness(one) != badness(two):
        return badness(one) > badness(two)
    return row < other


@compiled
def describe(slots: Any, rules: Any, rows: Ints, kept: Ints, rule: Any) -> tuple[Floats, Ints]:
    """Return the values of these series in short, (n, COLUMNS), and the times of their points, (n, MAX_POINTS), the newest last.

    Args: slots and rules, of the table; rows (n,); kept (n,), how many of its newest points are told of each: the others are 0; rule.
    """
    values, times = np.zeros((len(rows), COLUMNS)), np.zeros((len(rows), MAX_POINTS), np.int64)
    for i in range(len(rows)):
        one, found = slots[rows[i]], values[i]
        found[VALUE] = one.value
        _, found[BASE], found[LOW], found[HIGH] = band_of(one, rules[one.rule], found[VALUE], rule)
        found[Z], found[PEAK] = one.z, one.peak if one.state != ORDINARY else 0.0
        for k in range(POINTS):
            found[k] = round(found[k], 3) if k in (Z, PEAK) else short(found[k], DIGITS if k == VALUE else BAND_DIGITS)
        at = one.newest
        for k in range(MAX_POINTS - 1, MAX_POINTS - 1 - kept[i], -1):
            older = k < MAX_POINTS - 1
            found[POINTS + k], times[i, k] = short(np.float64(one.older[k]), BAND_DIGITS) if older else found[VALUE], at
            at -= one.gaps[k - 1] if k else 0
    return values, times


@compiled_bare
def short(value: float, most: int = DIGITS) -> float:
    """Round to so many significant digits, DIGITS at most.

    An integer below 10^DIGITS over, or times, an exact power of ten gives the nearest number.
    """
    size = abs(value)
    if size == 0 or not np.isfinite(size):
        return value
    shift = most - 1 - leading(size)
    if abs(shift) >= len(_POWERS):
        return value
    digits = np.rint(size * _POWERS[shift] if shift >= 0 else size / _POWERS[-shift])
    found = digits / _POWERS[shift] if shift >= 0 else digits * _POWERS[-shift]
    return float(np.copysign(found, value))


@compiled_bare
def leading(size: float) -> int:
    """Return the power of ten of the leading digit of a number above 0: the logarithm, rounded down.

    Next to a power of ten a logarithm rounds up to it and this does not, or the other way round: of DIGITS digits both give the same.
    """
    if not _LEAST <= size < _MOST:
        return int(np.floor(np.log10(size)))
    _, exponent = math.frexp(size)
    power = ((exponent - 1) * 1233) >> 12  # log10(2) is 1233 / 4096, near enough for exponents of two that are not above 90
    return power + 1 if size >= _BOUNDS[power + 1 - _USUAL[0]] else power
